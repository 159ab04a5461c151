import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import endSession from '../../functions/end-session.ts'
import { createApp } from '../../functions/index.ts'
import { answerOf, assertError, call, requestTo } from './wire.ts'

const test = suite('DELETE /session')

const TOKEN = 't'.repeat(40)

test('it ends the session with which it is called, and removes the cookie', async () => {
  const deps = await fakeDeps({ settings: { PROXY_MANAGER_API_TOKEN: TOKEN } })
  const app = createApp(() => deps)
  const send = async (method: string, path: string, headers: Readonly<Record<string, string>>) =>
    answerOf(await app(requestTo(path, { method, headers })))
  const opened = await send('POST', '/session', { authorization: `Bearer ${TOKEN}`, 'sec-fetch-site': 'same-origin' })
  const cookie = opened.headers.get('set-cookie')?.split(';')[0] ?? ''
  const headers = { cookie, 'x-session-key': opened.body.key }
  const ended = await send('DELETE', '/session', headers)
  assert.equal([ended.status, ended.body], [200, { status: 'ended' }])
  assert.match(ended.headers.get('set-cookie') ?? '', /^proxy-manager-session=; .*Max-Age=0$/)
  assertError(await send('GET', '/proxies', headers), 'UNAUTHORIZED')
})

test('without a session it changes nothing', async () => {
  assert.is((await call(endSession, await fakeDeps(), '/session', { method: 'DELETE' })).status, 200)
})

test.run()
