/** A real Chromium, Debian's, on the page for people. */
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'

export interface Visit {
  readonly page: Page
  /** What the browser has complained about: errors of scripts, and what the page's own policy forbids. */
  readonly complaints: readonly string[]
}

const BINARY = process.env.CHROMIUM_BIN ?? '/usr/bin/chromium'

/** Starts it; its sandbox needs more than a container permits, and the only pages are ours. */
export async function startBrowser(): Promise<Browser> {
  return await chromium.launch({ executablePath: BINARY, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
}

/** Opens a tab with storage and cookies of its own. An answer that is no 2xx is no complaint: the page shows it. */
export async function visit(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Visit> {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 }, ...options })
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    const text = message.text()
    if (message.type() === 'error' && !/^Failed to load resource/.test(text)) complaints.push(text)
  })
  page.setDefaultTimeout(60_000)
  await page.goto(url)
  return { page, complaints }
}
