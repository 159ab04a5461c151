/** A real Chromium, Debian's, on the page for people. */
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'

export interface Visit {
  readonly page: Page
  /** What the browser has complained about: errors of scripts, and what the page's own policy forbids. */
  readonly complaints: readonly string[]
}

export interface VisitOptions extends BrowserContextOptions {
  /** What time the page has, if it is not the real one. */
  readonly atMs?: number
  /** Called before the page is opened. */
  readonly prepare?: (page: Page) => Promise<unknown>
}

const BINARY = process.env.CHROMIUM_BIN ?? '/usr/bin/chromium'

/** Starts it; its sandbox needs more than a container permits, and the only pages are ours. */
export async function startBrowser(): Promise<Browser> {
  return await chromium.launch({ executablePath: BINARY, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
}

/** Opens a tab with storage and cookies of its own. An answer that is no 2xx is no complaint: the page shows it. */
export async function visit(browser: Browser, url: string, options: VisitOptions = {}): Promise<Visit> {
  const { atMs, prepare, ...others } = options
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 }, ...others })
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    const text = message.text()
    if (message.type() === 'error' && !/^Failed to load resource/.test(text)) complaints.push(text)
  })
  page.setDefaultTimeout(60_000)
  if (atMs !== undefined) await page.clock.setFixedTime(atMs)
  await prepare?.(page)
  await page.goto(url)
  return { page, complaints }
}

/** Logs in, and waits for the view that was asked for. */
export async function logIn(page: Page, token: string, heading = 'Routes'): Promise<void> {
  await page.getByLabel('Token').fill(token)
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByRole('heading', { name: heading, exact: true }).waitFor()
}
