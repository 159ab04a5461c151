import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import getPage from '../../functions/get-page.ts'
import { createApp } from '../../functions/index.ts'
import { requestTo } from './wire.ts'

const test = suite('GET /ui/')

const HTML = { accept: 'text/html,application/xhtml+xml' }

async function get(
  deps: FakeDeps,
  path: string,
  { headers = HTML, base = '' }: { readonly headers?: Readonly<Record<string, string>>; readonly base?: string } = {},
) {
  const response = await createApp(() => deps, { base })(requestTo(path, { headers }))
  return { status: response.status, headers: response.headers, text: await response.text() }
}

test('the page needs no token, has no data, and is kept in by its headers', async () => {
  const deps = await fakeDeps({ settings: { PROXY_MANAGER_API_TOKEN: 't'.repeat(40) } })
  const { status, headers, text } = await get(deps, '/ui/')
  assert.is(status, 200)
  assert.is(headers.get('content-type'), 'text/html; charset=utf-8')
  assert.is(headers.get('cache-control'), 'no-cache')
  const policy = headers.get('content-security-policy') ?? ''
  for (const part of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"])
    assert.ok(policy.includes(part), part)
  assert.ok(policy.includes("require-trusted-types-for 'script'; trusted-types lit-html"))
  assert.not.match(policy, /unsafe|\*/)
  assert.not.match(text, /<script(?![^>]* src=)|<style| style=| on\w+=/)
  assert.is(headers.get('referrer-policy'), 'no-referrer')
  assert.is(headers.get('cross-origin-opener-policy'), 'same-origin')
})

test('a browser is led to the page from the root, also under a base; a machine finds nothing there', async () => {
  const deps = await fakeDeps()
  for (const [path, base, location] of [
    ['/', '', 'ui/'],
    ['/ui', '', 'ui/'],
    ['/pm', '/pm', 'pm/ui/'],
    ['/pm/', '/pm', 'ui/'],
    ['/pm/ui', '/pm', 'ui/'],
  ] as const) {
    const { status, headers } = await get(deps, path, { base })
    assert.equal([status, headers.get('location')], [302, location], path)
  }
  assert.is((await get(deps, '/pm/ui/', { base: '/pm' })).status, 200)
  assert.is((await get(deps, '/', { headers: {} })).status, 404)
  assert.is((await get(deps, '/', { headers: { accept: 'application/json' } })).status, 404)
})

test('a link on another site leads to the page; its other requests are refused as ever', async () => {
  const deps = await fakeDeps()
  const link = { ...HTML, 'sec-fetch-site': 'cross-site', 'sec-fetch-dest': 'document' }
  assert.is((await get(deps, '/ui/', { headers: link })).status, 200)
  assert.is((await get(deps, '/proxies', { headers: link })).status, 403)
  assert.is((await get(deps, '/ui/', { headers: { ...link, 'sec-fetch-dest': 'iframe' } })).status, 403)
})

test('PROXY_MANAGER_UI=false and a host without its files have no page', async () => {
  const off = await fakeDeps({ settings: { PROXY_MANAGER_UI: 'false' } })
  for (const path of ['/', '/ui', '/ui/', '/ui/assets/main.js']) assert.is((await get(off, path)).status, 404, path)
  const { page: _, ...deps } = await fakeDeps()
  assert.is((await getPage(requestTo('/ui/', { headers: HTML }), deps)).status, 404)
})

test.run()
