import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Caller } from '../../../lib/http/access/guard.ts'
import { isInBackground, sessionCookie, sessionIn } from '../../../lib/http/access/session-cookie.ts'
import { memorySessions } from '../../../lib/http/access/sessions.ts'
import { parseSettings } from '../../../lib/settings/parse-settings.ts'
import type { Settings } from '../../../lib/settings/settings.ts'

const test = suite('sessions')

const CALLER: Caller = { grant: 'all', kind: 'token', actor: { kind: 'token', name: 'ops' } }
const MINUTE = 60_000

function at() {
  const time = { ms: 0 }
  return { time, sessions: memorySessions(() => time.ms) }
}

test('a session counts only with both of its halves', () => {
  const { sessions } = at()
  const [one, other] = [sessions.open(CALLER), sessions.open({ ...CALLER, grant: 'read' })]
  assert.is(sessions.find(one, false)?.grant, 'all')
  assert.is(sessions.find(other, false)?.grant, 'read')
  for (const halves of [
    { ...one, key: other.key },
    { ...one, cookie: other.cookie },
    { cookie: one.key, key: one.cookie },
    { ...one, key: '' },
    { cookie: '', key: '' },
  ])
    assert.is(sessions.find(halves, false), undefined)
  for (const half of [one.cookie, one.key]) assert.is(Buffer.from(half, 'base64url').length, 32)
})

test('a session ends after 30 minutes without use, and in any case after 12 hours', () => {
  const { time, sessions } = at()
  const halves = sessions.open(CALLER)
  time.ms = 29 * MINUTE
  assert.ok(sessions.find(halves, false))
  time.ms += 29 * MINUTE
  assert.ok(sessions.find(halves, true), 'what the page does by itself is answered')
  time.ms += MINUTE
  assert.is(sessions.find(halves, false), undefined, 'but is no use')

  const busy = sessions.open(CALLER)
  const openedAt = time.ms
  for (; time.ms < openedAt + 12 * 60 * MINUTE; time.ms += 20 * MINUTE) assert.ok(sessions.find(busy, false))
  assert.is(sessions.find(busy, false), undefined)
})

test('a session ends with its token, at once, for a stream as well', () => {
  let isAllowed = true
  const { sessions } = at()
  const halves = sessions.open({ ...CALLER, isAllowed: () => isAllowed })
  const stream = sessions.find(halves, false)
  assert.is(stream?.isAllowed?.(), true)
  isAllowed = false
  assert.is(stream?.isAllowed?.(), false)
  assert.is(sessions.find(halves, false), undefined)
})

test('a session that was ended is gone, for its streams as well, and no other is', () => {
  const { sessions } = at()
  const [one, other] = [sessions.open(CALLER), sessions.open(CALLER)]
  const stream = sessions.find(one, true)
  sessions.end({ ...one, key: other.key })
  assert.is(stream?.isAllowed?.(), true)
  sessions.end(one)
  assert.is(stream?.isAllowed?.(), false)
  assert.is(sessions.find(one, false), undefined)
  assert.ok(sessions.find(other, false))
})

test('of more than 64 sessions, the one that was used least recently ends', () => {
  const { time, sessions } = at()
  const all = Array.from({ length: 64 }, () => {
    time.ms++
    return sessions.open(CALLER)
  })
  const [first, second] = all
  assert.ok(first !== undefined && second !== undefined)
  time.ms++
  sessions.find(first, false)
  sessions.open(CALLER)
  assert.ok(sessions.find(first, false))
  assert.is(sessions.find(second, false), undefined)
})

const settingsOf = (environment: Readonly<Record<string, string>> = {}): Settings => {
  const settings = parseSettings(environment)
  if ('faults' in settings) throw new Error(settings.faults.join())
  return settings
}

test('the cookie is for this API only, and Secure if its own public URL is https', () => {
  const plain = { settings: settingsOf(), base: '' }
  assert.is(sessionCookie('x', plain), 'proxy-manager-session=x; HttpOnly; SameSite=Strict; Path=/')
  const secure = settingsOf({ PROXY_MANAGER_PUBLIC_URL: 'https://pm.example.com' })
  assert.is(
    sessionCookie('x', { settings: secure, base: '' }),
    '__Host-proxy-manager-session=x; HttpOnly; SameSite=Strict; Path=/; Secure',
  )
  assert.is(
    sessionCookie(null, { settings: secure, base: '/pm' }),
    '__Secure-proxy-manager-session=; HttpOnly; SameSite=Strict; Path=/pm/; Secure; Max-Age=0',
  )
})

test('the halves are read from a cookie of exactly that name and from the header', () => {
  const place = { settings: settingsOf(), base: '' }
  const read = (cookie: string) =>
    sessionIn(new Request('http://127.0.0.1:8100/', { headers: { cookie, 'x-session-key': 'k' } }), place)
  assert.equal(read('a=b; proxy-manager-session=c=d; e=f'), { cookie: 'c=d', key: 'k' })
  assert.is(read('xproxy-manager-session=c'), undefined)
  assert.is(read('__Host-proxy-manager-session=c'), undefined)
})

test('the stream of events, its polls and what the page marks are no use of a session', () => {
  const request = (path: string, headers: Record<string, string> = {}) =>
    new Request(`http://127.0.0.1:8100${path}`, { headers })
  assert.ok(isInBackground(request('/events?after=7')))
  assert.ok(isInBackground(request('/pm/events')))
  assert.ok(isInBackground(request('/proxies', { 'x-background': '1' })))
  assert.not.ok(isInBackground(request('/proxies')))
})

test('whoever opens many sessions ends their own, and those of nobody else', () => {
  const { time, sessions } = at()
  const own = sessions.open(CALLER)
  time.ms++
  const reader: Caller = { grant: 'read', kind: 'token', actor: { kind: 'token', name: 'dashboard' } }
  const [first, ...others] = Array.from({ length: 64 }, () => sessions.open(reader))
  assert.is(sessions.find(own, false)?.grant, 'all')
  assert.is(first && sessions.find(first, false), undefined)
  assert.ok(others.every((halves) => sessions.find(halves, false)))
})

test.run()
