import { readFileSync } from 'node:fs'
import type { Browser, Locator, Page } from 'playwright-core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { call } from '../../fixtures/call.ts'
import { logIn, startBrowser, visit } from '../helpers/browser.ts'
import { secure } from '../helpers/system/certificate.ts'
import { type RealHost, through } from '../helpers/system/host.ts'
import { type HostWithCa, startHostWithCa } from '../helpers/system/host-with-ca.ts'
import { setUp } from '../helpers/system/set-up.ts'

const TOKEN = 't'.repeat(40)

interface Context extends HostWithCa {
  readonly browser: Browser
}

const test = suite<Context>('the page for people, in a real browser, beside a real NGINX')

setUp(test, async (context, undo) => {
  Object.assign(context, await startHostWithCa({ PROXY_MANAGER_API_TOKEN: TOKEN }))
  undo(context.close)
  Object.assign(context, { browser: await startBrowser() })
  undo(() => context.browser.close())
})

const siteText = ({ nginx }: RealHost, name: string) =>
  readFileSync(`${nginx.environment.NGINX_SITES_AVAILABLE}/fpai-${name}.conf`, 'utf8')

/** How a visitor presses a button, link or box, and fills a field. */
interface Hands {
  readonly press: (target: Locator) => Promise<void>
  readonly fill: (target: Locator, text: string) => Promise<void>
}

const byMouse: Hands = { press: (target) => target.click(), fill: (target, text) => target.fill(text) }

function byKeyboard({ keyboard }: Page): Hands {
  /** More than the stops on any view. */
  const MOST_STOPS = 120
  const reach = async (target: Locator) => {
    await target.waitFor()
    for (let i = 0; i < MOST_STOPS; i++) {
      if (await target.evaluate((element) => element === element.ownerDocument.activeElement)) return
      await keyboard.press('Tab')
    }
    throw new Error(`not reached by Tab: ${target}`)
  }
  return {
    press: async (target) => {
      await reach(target)
      await keyboard.press((await target.getAttribute('type')) === 'checkbox' ? 'Space' : 'Enter')
    },
    fill: async (target, text) => {
      await reach(target)
      await keyboard.press('ControlOrMeta+a')
      await keyboard.type(text)
    },
  }
}

/** A route's whole life. */
async function lifeOfRoute({ host, port }: Context, page: Page, name: string, { press, fill }: Hands): Promise<void> {
  const button = (text: string) => page.getByRole('button', { name: text, exact: true })
  const domain = `${name}.example.com`
  const answer = () => through(host.nginx.httpPort, domain)
  await press(page.getByRole('link', { name: 'New route' }))
  await fill(page.getByLabel('droplet_name'), name)
  await fill(page.getByLabel('domain', { exact: true }), domain)
  await fill(page.getByLabel('upstream', { exact: true }), `http://localhost:${port}`)
  await press(page.getByLabel('enable_ssl'))
  await press(button('Check'))
  await page.getByText('NGINX accepts it').waitFor()
  assert.is.not(await answer(), 'app', 'a check changes nothing')
  await press(button('Apply exactly this'))
  await page.getByText(new RegExp(`${name}: create: served as generation \\d+, proved by`)).waitFor()
  assert.is(await answer(), 'app')

  await press(page.getByRole('link', { name: 'Edit' }))
  await fill(page.getByLabel('read_timeout_s'), '77')
  await press(button('Check'))
  await page.locator('.diff .added').filter({ hasText: '77' }).first().waitFor()
  assert.not.ok(siteText(host, name).includes('77s'))
  await press(button('Apply exactly this'))
  await page.getByText(`${name}: change: served`).waitFor()
  assert.ok(siteText(host, name).includes('77s'))
  await page.locator('dt', { hasText: 'read_timeout_s' }).waitFor()
  assert.is(await page.locator('main > dl dt').count(), 1, 'the other options have their defaults')

  await press(button('Put version 1 again'))
  await page.getByText(`${name}: back to version 1: served`).waitFor()
  assert.not.ok(siteText(host, name).includes('77s'))

  await press(button('Maintenance'))
  await page.getByText(`${name}: maintenance on: served`).waitFor()
  assert.is(await answer(), 'status 503')
  await press(button('End maintenance'))
  await page.getByText(`${name}: maintenance off: served`).waitFor()
  assert.is(await answer(), 'app')

  await press(button('Delete…'))
  assert.ok(await button('Delete').isDisabled(), 'the name must be typed')
  await fill(page.getByLabel(`Type ${name} to confirm`), name)
  await press(button('Delete'))
  await page.getByText(`${name}: delete: served`).waitFor()
  const headers = { authorization: `Bearer ${TOKEN}` }
  assert.is((await call(`${host.manager.url}/proxies/${name}`, { headers })).status, 404)
  assert.is.not(await answer(), 'app')
}

for (const [hands, name] of [
  ['by mouse', 'shop'],
  ['by keyboard only', 'keys'],
] as const)
  test(`a route is created, checked first, and served; then edited, put back, in maintenance, and deleted: ${hands}`, async (context) => {
    const { page, complaints } = await visit(context.browser, context.host.manager.url)
    await logIn(page, TOKEN)
    await lifeOfRoute(context, page, name, hands === 'by mouse' ? byMouse : byKeyboard(page))
    assert.equal(complaints, [])
    await page.context().close()
  })

test('a certificate is ordered after its preflight, and served; the page says each step, and then what was proved', async ({
  browser,
  host,
  port,
  root,
}) => {
  const { url } = host.manager
  const headers = { authorization: `Bearer ${TOKEN}` }
  const body = { domain: 'secure.example.com', upstream_port: port }
  assert.is((await call(`${url}/proxies/secure`, { method: 'PUT', headers, body })).status, 202)
  const { page, complaints } = await visit(browser, `${url}/ui/#/certificates`)
  await logIn(page, TOKEN, 'Certificates')
  await page.getByText('no certificate').waitFor()
  await page.getByRole('link', { name: 'Order… secure' }).click()
  for (const check of ['dns', 'challenge', 'caa'])
    await page.locator('li', { hasText: `${check} secure.example.com: ` }).waitFor()
  await page.getByText('A certificate would be ordered.').waitFor()
  await page.getByRole('button', { name: 'Order it' }).click()
  await page.getByText('secure: order a certificate: ordering…').waitFor()
  await page.getByText(/secure: order a certificate: served as generation \d+, proved by tls handshake/).waitFor()
  await page.getByText(/\d+ d left/).waitFor()
  assert.is((await secure(host.nginx.httpsPort, 'secure.example.com', root)).body, 'app')

  await page.getByRole('link', { name: 'Renew… secure' }).click()
  await page.getByText(/is not due .*: none would be ordered/).waitFor()
  await page.getByRole('link', { name: 'Cancel' }).click()
  await page.getByRole('link', { name: 'Explain' }).click()
  await page.getByLabel('URL').fill(`https://secure.example.com:${host.nginx.httpsPort}/`)
  await page.keyboard.press('Enter')
  await page.getByText(/^Route secure answers .* NGINX answered 200/).waitFor()
  await page.getByText('NGINX itself does the same').waitFor()
  await page.getByRole('link', { name: 'Activity' }).click()
  await page.getByText('certificate.ordered').waitFor()
  assert.equal(complaints, [])
  await page.context().close()
})

test.run()
