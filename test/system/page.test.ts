import { readFileSync } from 'node:fs'
import type { Browser } from 'playwright-core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { call } from '../../fixtures/call.ts'
import { startBrowser, type Visit, visit } from '../helpers/browser.ts'
import { type RealHost, through } from '../helpers/system/host.ts'
import { type HostWithCa, startHostWithCa } from '../helpers/system/host-with-ca.ts'
import { setUp } from '../helpers/system/set-up.ts'

const [TOKEN, READ_TOKEN] = ['t'.repeat(40), 'r'.repeat(40)]

interface Context extends HostWithCa {
  readonly browser: Browser
}

const test = suite<Context>('the page for people, in a real browser')

setUp(test, async (context, undo) => {
  const tokens = { PROXY_MANAGER_API_TOKEN: TOKEN, PROXY_MANAGER_READ_TOKEN: READ_TOKEN }
  Object.assign(context, await startHostWithCa(tokens))
  undo(context.close)
  Object.assign(context, { browser: await startBrowser() })
  undo(() => context.browser.close())
})

async function loggedIn({ browser, host }: Context, token = TOKEN): Promise<Visit> {
  const visited = await visit(browser, host.manager.url)
  const { page } = visited
  await page.getByLabel('Token').fill(token)
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByRole('heading', { name: 'Routes' }).waitFor()
  return visited
}

const siteText = ({ nginx }: RealHost, name: string) =>
  readFileSync(`${nginx.environment.NGINX_SITES_AVAILABLE}/fpai-${name}.conf`, 'utf8')

test('a wrong token is refused with a reason; the right one is kept nowhere in the browser', async (context) => {
  const { page, complaints } = await visit(context.browser, `${context.host.manager.url}/ui/`)
  await page.getByLabel('Token').fill('wrong')
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByRole('alert').getByText('UNAUTHORIZED').waitFor()
  await page.getByLabel('Token').fill(TOKEN)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Routes' }).waitFor()
  const kept = await page.evaluate(
    'JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href])',
  )
  assert.not.ok(String(kept).includes(TOKEN))
  assert.ok((await page.context().cookies()).every(({ httpOnly, sameSite }) => httpOnly && sameSite === 'Strict'))
  await page.getByRole('button', { name: 'Log out' }).click()
  await page.getByLabel('Token').waitFor()
  assert.equal(complaints, [])
  await page.context().close()
})

test('a route is created, checked first, and served; then edited, put back, in maintenance, and deleted', async (context) => {
  const { host, port } = context
  const { page, complaints } = await loggedIn(context)
  await page.getByRole('link', { name: 'New route' }).click()
  await page.getByLabel('droplet_name').fill('shop')
  await page.getByLabel('domain', { exact: true }).fill('shop.example.com')
  await page.getByLabel('upstream', { exact: true }).fill(`http://localhost:${port}`)
  await page.getByLabel('enable_ssl').uncheck()
  await page.getByRole('button', { name: 'Check', exact: true }).click()
  await page.getByText('NGINX accepts it').waitFor()
  assert.is.not(await through(host.nginx.httpPort, 'shop.example.com'), 'app', 'a check changes nothing')
  await page.getByRole('button', { name: 'Apply exactly this' }).click()
  await page.getByText(/shop: create: served as generation \d+, proved by/).waitFor()
  assert.is(await through(host.nginx.httpPort, 'shop.example.com'), 'app')

  await page.getByRole('link', { name: 'Edit' }).click()
  await page.getByLabel('read_timeout_s').fill('77')
  await page.getByRole('button', { name: 'Check', exact: true }).click()
  await page.locator('.diff .added').filter({ hasText: '77' }).first().waitFor()
  await page.getByRole('button', { name: 'Apply exactly this' }).click()
  await page.getByText(/shop: change: served as generation/).waitFor()
  assert.ok(siteText(host, 'shop').includes('77s'))

  await page.getByText(/^Version 1:/).click()
  await page.getByRole('button', { name: 'Put version 1 again' }).click()
  await page.getByText(/shop: back to version 1: served/).waitFor()
  assert.not.ok(siteText(host, 'shop').includes('77s'))

  await page.getByRole('button', { name: 'Maintenance' }).click()
  await page.getByText(/shop: maintenance on: served/).waitFor()
  assert.is(await through(host.nginx.httpPort, 'shop.example.com'), 'status 503')

  await page.getByRole('button', { name: 'Delete…' }).click()
  const remove = page.getByRole('button', { name: 'Delete', exact: true })
  assert.ok(await remove.isDisabled(), 'the name must be typed')
  await page.getByLabel(/^Type shop/).fill('shop')
  await remove.click()
  await page.getByText(/shop: delete: served/).waitFor()
  const headers = { authorization: `Bearer ${TOKEN}` }
  assert.is((await call(`${host.manager.url}/proxies/shop`, { headers })).status, 404)
  assert.equal(complaints, [])
  await page.context().close()
})

test.run()
