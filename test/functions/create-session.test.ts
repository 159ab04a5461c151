import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import createSession from '../../functions/create-session.ts'
import { createApp, endpoints } from '../../functions/index.ts'
import { contentsOf } from '../helpers/arrange.ts'
import { APP, answerOf, assertError, call, ORIGIN, requestTo } from './wire.ts'

const test = suite('POST /session')

const [TOKEN, READ_TOKEN] = ['t'.repeat(40), 'r'.repeat(40)]
const SAME_ORIGIN = { 'sec-fetch-site': 'same-origin' }

async function appWithTokens(settings: Readonly<Record<string, string>> = {}) {
  const deps = await fakeDeps({
    settings: { PROXY_MANAGER_API_TOKEN: TOKEN, PROXY_MANAGER_READ_TOKEN: READ_TOKEN, ...settings },
  })
  const app = createApp(() => deps)
  const send = async (path: string, options: Parameters<typeof requestTo>[1] = {}) =>
    answerOf(await app(requestTo(path, options)))
  const logIn = async (token = TOKEN, headers: Readonly<Record<string, string>> = SAME_ORIGIN) =>
    send('/session', { method: 'POST', headers: { authorization: `Bearer ${token}`, ...headers } })
  const halvesOf = async (token = TOKEN) => {
    const { body, headers } = await logIn(token)
    return { cookie: (headers.get('set-cookie') ?? '').split(';')[0] ?? '', 'x-session-key': String(body.key) }
  }
  return { deps, send, logIn, halvesOf }
}

test('a token opens a session, which is as good as the token; neither half is by itself, on any path', async () => {
  const { deps, send, logIn, halvesOf } = await appWithTokens()
  const { status, body } = await logIn()
  assert.equal([status, body.grant, body.name], [201, 'all', 'api'])
  const halves = await halvesOf()
  assert.is((await send('/proxies', { headers: halves })).status, 200)
  assert.is((await send('/proxies/app', { method: 'PUT', headers: halves, body: APP })).status, 201)
  const before = contentsOf(deps.disk)
  const { cookie, 'x-session-key': key } = halves
  for (const { operation } of endpoints)
    for (const headers of [{ cookie }, { 'x-session-key': key }, { cookie, 'x-session-key': cookie }]) {
      const { method, path } = operation
      if (path.endsWith('/health')) continue
      const answer = await send(path.replace(/:\w+/g, 'app'), { method, headers })
      assertError(answer, 'UNAUTHORIZED')
    }
  assert.equal(contentsOf(deps.disk), before)
})

test('the session of a token for reading reads, and changes nothing', async () => {
  const { deps, send, halvesOf } = await appWithTokens()
  const headers = await halvesOf(READ_TOKEN)
  assert.is((await send('/proxies', { headers })).status, 200)
  const before = contentsOf(deps.disk)
  assertError(await send('/proxies/app', { method: 'PUT', headers, body: APP }), 'FORBIDDEN')
  assert.equal(contentsOf(deps.disk), before)
})

test('no other site, port or program opens one, nor uses one that is open', async () => {
  const { send, logIn, halvesOf } = await appWithTokens()
  for (const headers of [
    {},
    { 'sec-fetch-site': 'none' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'cross-site', origin: ORIGIN },
    { origin: 'http://127.0.0.1:3000' },
    { origin: 'null' },
  ])
    assertError(await logIn(TOKEN, headers), 'FORBIDDEN')
  // Over plain HTTP to another host than loopback, browsers send Origin only.
  assert.is((await logIn(TOKEN, { origin: ORIGIN })).status, 201)
  const halves = await halvesOf()
  for (const foreign of [{ origin: 'http://127.0.0.1:3000' }, { 'sec-fetch-site': 'same-site' }])
    assertError(await send('/proxies', { headers: { ...halves, ...foreign } }), 'FORBIDDEN')
})

test('a wrong token opens none; without a token to show there is nothing to open', async () => {
  const { logIn, send } = await appWithTokens()
  assertError(await logIn('wrong'), 'UNAUTHORIZED')
  assertError(await send('/session', { method: 'POST', headers: SAME_ORIGIN }), 'UNAUTHORIZED')
  const deps = await fakeDeps()
  const app = createApp(() => deps)
  const open = await answerOf(await app(requestTo('/session', { method: 'POST', headers: SAME_ORIGIN })))
  assertError(open, 'FORBIDDEN')
  assertError(await call(createSession, deps, '/session', { method: 'POST', headers: SAME_ORIGIN }), 'FORBIDDEN')
})

test('neither half is on a line of the log', async () => {
  const { deps, send, halvesOf } = await appWithTokens()
  const headers = await halvesOf()
  await send('/none', { headers })
  const log = JSON.stringify(deps.lines)
  assert.not.ok(log.includes(headers['x-session-key']))
  assert.not.ok(log.includes(headers.cookie.split('=')[1] ?? headers.cookie))
})

test.run()
