import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Browser, Page, Route } from 'playwright-core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startServer } from '../../fixtures/loopback-server.ts'
import { endpoints } from '../../functions/index.ts'
import { writeAt } from '../helpers/arrange.ts'
import { logIn, startBrowser, visit } from '../helpers/browser.ts'
import { addBadNight, addGoodDay, addRoutes, checkOften, type PageHost, startPageHost } from '../helpers/page-host.ts'
import { setUp } from '../helpers/system/set-up.ts'
import { makeSigner, pemOf, tokenOf } from '../helpers/tokens.ts'

const [TOKEN, READ_TOKEN, NAMED_TOKEN] = ['t'.repeat(40), 'r'.repeat(40), 'n'.repeat(40)]

interface Context {
  readonly browser: Browser
  readonly good: PageHost
  readonly bad: PageHost
  readonly locked: PageHost
}

const test = suite<Context>('the views of the page for people, in a real browser')

setUp(test, async (context, undo) => {
  const open = async (settings?: Readonly<Record<string, string>>) => {
    const host = await startPageHost(settings)
    undo(host.close)
    return host
  }
  const [good, bad] = [await open(), await open()]
  await addGoodDay(good)
  await addGoodDay(bad)
  await addBadNight(bad)
  const tokens = { PROXY_MANAGER_API_TOKEN: TOKEN, PROXY_MANAGER_READ_TOKEN: READ_TOKEN }
  const locked = await open({ ...tokens, ...NAMED, ...JWT })
  Object.assign(context, { good, bad, locked, browser: await startBrowser() })
  undo(() => context.browser.close())
})

const NAMED = { PROXY_MANAGER_API_TOKENS_FILE: '/etc/tokens' }
const JWT = { AUTH_REGISTRY_JWT: 'true', REGISTRY_URL: 'http://registry.example' }
/** Each view, and what shows that it is complete. */
const VIEWS = [
  ['#/routes', 'shop.example.com'],
  ['#/certificates', 'd left'],
  ['#/activity', 'by local'],
  ['#/explain/http%3A%2F%2Fapi.example.com%2F', 'server block'],
  ['#/new', 'droplet_name'],
  ['#/routes/shop', 'Version 1'],
  ['#/routes/shop/edit', 'read_timeout_s'],
  ['#/routes/api', 'localhost:8004 (backup)'],
] as const
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

async function show(page: Page, hash: string, text: string): Promise<void> {
  await page.evaluate(`location.hash = ${JSON.stringify(hash)}`)
  await page.locator('main').getByText(text).first().waitFor()
}

async function barriers(page: Page): Promise<unknown> {
  await page.evaluate(AXE)
  return await page.evaluate(
    `axe.run(document).then(({ violations }) => violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').map(({ id, nodes }) => [id, nodes[0].html, nodes[0].failureSummary]))`,
  )
}

const overflow = async (page: Page) =>
  Number(await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth'))

for (const [day, colorScheme] of [
  ['good', 'light'],
  ['bad', 'dark'],
] as const)
  test(`every view of a ${day} day is without barriers and complaints, and fits 1,400 and 360 pixels (${colorScheme})`, async (context) => {
    const host = context[day]
    const { page, complaints } = await visit(context.browser, `${host.url}/ui/`, {
      colorScheme,
      atMs: host.deps.clock.nowMs(),
    })
    for (const [hash, text] of VIEWS) {
      await show(page, hash, text)
      assert.equal(await barriers(page), [], hash)
      assert.is(await overflow(page), 0, hash)
      await page.setViewportSize({ width: 360, height: 800 })
      assert.is(await overflow(page), 0, `${hash} at 360 pixels`)
      await page.setViewportSize({ width: 1400, height: 900 })
    }
    assert.equal(complaints, [])
    await page.context().close()
  })

test('a bad night is shown as it is: what is down and since when, what was edited, and which certificate runs out first', async ({
  browser,
  bad,
}) => {
  const { page } = await visit(browser, `${bad.url}/ui/`, { atMs: bad.deps.clock.nowMs() })
  await page.getByText('NGINX is stopped: nothing is served.').waitFor()
  const row = (name: string) =>
    page.getByRole('row').filter({ has: page.getByRole('rowheader', { name, exact: true }) })
  await row('blog').getByText('unhealthy').waitFor()
  assert.match(await row('blog').innerText(), /unhealthy for \d min/)
  assert.match(
    await row('shop').innerText(),
    /NGINX stopped[\s\S]*healthy for \d+ min/,
    'a droplet is not what is served',
  )
  assert.match(await row('legacy').innerText(), /disabled/)
  await page.getByRole('button', { name: /^droplet unhealthy 2/ }).click()
  await page.getByText('2 of 8 routes').waitFor()
  await show(page, '#/certificates', '3 d left')
  assert.match(await page.locator('tbody tr').nth(0).innerText(), /billing[\s\S]*unreachable/)
  assert.match(await page.locator('tbody tr').nth(1).innerText(), /corp[\s\S]*nothing renews it/)
  await show(page, '#/activity', 'In the last hour')
  await page.getByRole('button', { name: /^failures/ }).click()
  await page.getByText('SSL_ISSUANCE_FAILED').waitFor()
  await page.context().close()
})

const HOSTILE = `<img src=x onerror="window.hacked=1">"'><script>window.hacked=1</script>\${1}`
/** Words and times that the page looks up; everything else is anybody's text. */
const LOOKED_UP =
  /^(status|state|type|kind|result|outcome|source|recent|impact|grant|.*_at|at|since|expiry|not_before)$/

function hostile(value: unknown, name = ''): unknown {
  if (Array.isArray(value)) return value.map((one) => hostile(one, name))
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, hostile(one, key)]))
  return typeof value === 'string' && !LOOKED_UP.test(name) ? value + HOSTILE : value
}

/** Answers what the API answers, changed by this. */
async function changed(page: Page, urls: RegExp, change: (json: unknown) => unknown): Promise<void> {
  await page.route(urls, async (route: Route) => {
    if (route.request().headers().accept !== 'application/json') return await route.continue()
    const response = await route.fetch()
    await route.fulfill({ response, json: change(await response.json()) })
  })
}

test('whatever names, domains, reasons and texts say is shown as text', async ({ browser, bad }) => {
  const prepare = (page: Page) => changed(page, /\/(proxies|certificates|events|proxy-manager)/, hostile)
  const { page, complaints } = await visit(browser, `${bad.url}/ui/`, { prepare, atMs: bad.deps.clock.nowMs() })
  const shop = `#/routes/${encodeURIComponent(`shop${HOSTILE}`)}`
  for (const hash of ['#/routes', '#/certificates', '#/activity', shop, '#/routes/shop']) {
    await show(page, hash, 'onerror=')
    const found = await page.evaluate(
      `[window.hacked, document.querySelectorAll('img, script[src=x], #page script, [onerror]').length, [...document.querySelectorAll('#page a')].map((a) => a.protocol).filter((one) => !/^(https?)?:$/.test(one)).length]`,
    )
    assert.equal(found, [undefined, 0, 0], hash)
  }
  await page.getByRole('button', { name: 'Delete…' }).click()
  await page.getByLabel(/^Type .*onerror=/).waitFor()
  assert.equal(complaints, [])
  await page.context().close()
})

test('a route whose data cannot be shown hides no other', async ({ browser, good }) => {
  const broken = (json: unknown) =>
    Array.isArray(json) ? json.map((one) => (one.droplet_name === 'api' ? { ...one, options: null } : one)) : json
  const { page, complaints } = await visit(browser, `${good.url}/ui/`, {
    prepare: (opened) => changed(opened, /\/proxies$/, broken),
  })
  await page.getByText('cannot be shown').waitFor()
  await page.getByRole('rowheader', { name: 'shop', exact: true }).waitFor()
  assert.equal(complaints, [])
  await page.context().close()
})

test('of 1,000 routes the first 200 are shown, and a filter finds any', async ({ browser }) => {
  const host = await startPageHost()
  await addRoutes(host, 1000)
  const { page } = await visit(browser, `${host.url}/ui/`)
  const rows = page.locator('tbody tr')
  await page.getByText('The first 200 are shown.').waitFor()
  assert.is(await rows.count(), 200)
  await page.getByLabel('Filter').fill('APP-777.')
  await page.getByText('1 of 1000 routes').waitFor()
  assert.is(await rows.count(), 1)
  await page.getByLabel('Filter').fill('')
  await page.getByRole('button', { name: 'Show all 1000' }).click()
  await rows.nth(999).waitFor()
  await page.context().close()
  host.close()
})

test('a stopped API is said to be stopped, and the page comes back by itself', async ({ browser }) => {
  const host = await startPageHost()
  await addRoutes(host, 1)
  const { page, complaints } = await visit(browser, `${host.url}/ui/`)
  await page.getByText('app-0.example.com').waitFor()
  host.close()
  await page.getByText(/Live updates stopped \d+ s ago, trying again/).waitFor()
  assert.ok(await page.getByText('app-0.example.com').isVisible(), 'what was known is kept')
  const again = await host.reopen()
  await page.getByText('Live updates stopped').waitFor({ state: 'detached' })
  await addRoutes(host, 2)
  await page.getByText('app-1.example.com').waitFor()
  again.close()
  assert.equal(complaints, [])
  await page.context().close()
})

test('without a stream the page polls, and says so', async ({ browser, good }) => {
  const refuse = (page: Page) =>
    page.route(/\/events/, async (route) => {
      const isStream = route.request().headers().accept === 'text/event-stream'
      const json = { error: { code: 'TOO_MANY_STREAMS', message: 'Too many streams', details: {} } }
      await (isStream ? route.fulfill({ status: 429, json }) : route.continue())
    })
  const { page } = await visit(browser, `${good.url}/ui/`, { prepare: refuse })
  await page.getByText('updated every 5 seconds').waitFor()
  await page.context().close()
})

test('each kind of token opens a session and is kept nowhere; one for reading sees no buttons', async ({
  browser,
  locked,
}) => {
  const { deps, url } = locked
  writeAt(deps.disk, '/etc/tokens', `ci:all:${NAMED_TOKEN}\n`, 0o600)
  const signer = makeSigner()
  deps.nginx.registryKey = { status: 200, body: pemOf(signer) }
  const seconds = deps.clock.nowMs() / 1000
  const jwt = tokenOf(signer, { sub: 'operator', exp: seconds + 3600, role: 'admin' })
  const { page, complaints } = await visit(browser, `${url}/ui/`)
  await page.getByLabel('Token').fill('wrong')
  await page.keyboard.press('Enter')
  await page.getByRole('alert').getByText('UNAUTHORIZED').waitFor()
  for (const [token, who] of [
    [TOKEN, 'api (may change)'],
    [NAMED_TOKEN, 'ci (may change)'],
    [READ_TOKEN, 'read (may only read)'],
    [jwt, 'operator (may change)'],
  ] as const) {
    await logIn(page, token)
    await page.getByText(who).waitFor()
    assert.is(await page.getByRole('link', { name: 'New route' }).count(), token === READ_TOKEN ? 0 : 1)
    const kept = 'JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href])'
    assert.not.ok(String(await page.evaluate(kept)).includes(token))
    assert.ok((await page.context().cookies()).every(({ httpOnly, sameSite }) => httpOnly && sameSite === 'Strict'))
    await page.getByRole('button', { name: 'Log out' }).click()
    await page.getByLabel('Token').waitFor()
  }
  assert.equal(complaints, [])
  await page.context().close()
})

/** Calls from the page itself; the status of each, in order. */
async function statuses(
  page: Page,
  base: string,
  calls: readonly (readonly [method: string, path: string, headers?: object])[],
) {
  return await page.evaluate(
    `Promise.all(${JSON.stringify(calls)}.map(([method, path, headers = {}]) => fetch(${JSON.stringify(base)} + path, { method, headers }).then(({ status }) => status)))`,
  )
}

test('a session counts with both halves only, from this page only', async ({ browser, locked }) => {
  const { url } = locked
  const { page } = await visit(browser, `${url}/ui/`)
  await logIn(page, TOKEN)
  const key = await page.evaluate("sessionStorage.getItem('proxy-manager-session-key')")
  const both = { 'x-session-key': String(key) }
  assert.equal(
    await statuses(page, url, [
      ['GET', '/proxies'],
      ['GET', '/proxies', both],
    ]),
    [401, 200],
  )
  const closed = endpoints
    .map(({ operation: { method, path } }) => [method, path.replace(/:\w+/g, 'app')] as const)
    .filter(([, path]) => !path.endsWith('/health'))
  assert.equal(
    await statuses(page, url, closed),
    closed.map(() => 401),
    'the cookie by itself',
  )

  // The cookie is sent to every port of this host, and a page there can send it back.
  const html = '<form method="post"></form>'
  const foreign = await startServer((_, response) => response.setHeader('content-type', 'text/html').end(html))
  const other = await page.context().newPage()
  const seen: string[] = []
  other.on('response', (response) => {
    if (response.url().startsWith(url)) seen.push(`${response.request().method()} ${response.status()}`)
  })
  await other.goto(foreign.url)
  await other.evaluate(`fetch('${url}/proxies', { mode: 'no-cors', credentials: 'include' })`)
  const blocked = await other.evaluate(
    `fetch('${url}/proxies', { credentials: 'include', headers: ${JSON.stringify(both)} }).then(() => 'read', () => 'blocked')`,
  )
  assert.is(blocked, 'blocked')
  await other.evaluate(`document.forms[0].action = '${url}/session'; document.forms[0].submit()`)
  await other.getByText('FORBIDDEN').waitFor()
  assert.ok(seen.length >= 2 && seen.every((one) => one.endsWith(' 403')), seen.join())
  foreign.close()

  await page.context().clearCookies()
  assert.equal(await statuses(page, url, [['GET', '/proxies', both]]), [401], 'the key by itself')
  await page.context().close()
})

test('the pictures of the manual are small; PAGE_PICTURES says where to keep them', async ({ browser, good }) => {
  const folder = process.env.PAGE_PICTURES
  good.deps.nginx.upstreams.set(8003, 'ETIMEDOUT')
  await checkOften(good.deps, 20)
  for (const colorScheme of ['light', 'dark'] as const) {
    const size = { viewport: { width: 1200, height: 520 }, colorScheme }
    const { page } = await visit(browser, `${good.url}/ui/`, { ...size, atMs: good.deps.clock.nowMs() })
    await page.getByText('with an unhealthy droplet').waitFor()
    const path = folder === undefined ? {} : { path: join(folder, `page-${colorScheme}.png`) }
    const picture = await page.screenshot(path)
    assert.ok(picture.length > 10_000 && picture.length <= 150_000, `${picture.length} bytes`)
    await page.context().close()
  }
})

test.run()
