import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ERRORS, ProxyManagerError, statusesOf, withDetails } from '../lib/errors.ts'

const test = suite('errors')

test('an error has the status, message, stage, state, culprit and retryability of the catalogue', () => {
  const error = new ProxyManagerError('UPSTREAM_UNHEALTHY')
  assert.instance(error, Error)
  assert.is(error.name, 'ProxyManagerError')
  assert.is(error.code, 'UPSTREAM_UNHEALTHY')
  assert.is(error.status, 422)
  assert.is(error.message, 'The upstream failed its health check')
  assert.equal(error.details, { stage: 'upstream', state: 'unchanged', culprit: 'upstream', retryable: true })
  assert.equal(error.headers, {})
  assert.is(error.retryAfterS, undefined)
  assert.is(error.cause, undefined)
})

test('message and details that are passed override the catalogue, and the rest of it stays', () => {
  const cause = new Error('secret')
  const error = new ProxyManagerError('BUSY', {
    message: 'Later',
    details: { state: 'degraded', depth: 3 },
    headers: { allow: 'GET' },
    retryAfterS: 2,
    cause,
  })
  assert.is(error.message, 'Later')
  assert.equal(error.details, { stage: 'queue', state: 'degraded', culprit: 'host', retryable: true, depth: 3 })
  assert.equal(error.headers, { allow: 'GET' })
  assert.is(error.retryAfterS, 2)
  assert.is(error.cause, cause)
})

test('the statuses are those of the specification', () => {
  const statuses = Object.entries(ERRORS).map(([code, { status }]) => `${status} ${code}`)
  const promised = `400 INVALID_REQUEST, 401 UNAUTHORIZED, 403 FORBIDDEN, 404 NOT_FOUND, 404 PROXY_NOT_FOUND,
    405 METHOD_NOT_ALLOWED, 409 DOMAIN_CONFLICT, 409 DROPLET_EXISTS, 412 PRECONDITION_FAILED, 413 PAYLOAD_TOO_LARGE,
    415 UNSUPPORTED_MEDIA_TYPE, 422 UPSTREAM_UNHEALTHY, 422 UPSTREAM_UNRESOLVABLE, 422 UPSTREAM_FORBIDDEN,
    500 PROXY_CONFIG_FAILED, 500 NGINX_RELOAD_FAILED, 500 CONFIG_WRITE_FAILED, 500 INTERNAL, 503 NGINX_ALREADY_BROKEN,
    503 BUSY`
  for (const line of promised.split(/,\s+/)) assert.ok(statuses.includes(line), line)
})

test('a certificate that was not issued is 422 if the cause lies in the domain, otherwise 502', () => {
  const statusOf = (reason?: string) =>
    withDetails(new ProxyManagerError('SSL_ISSUANCE_FAILED', { details: { reason } }), { state: 'degraded' }).status
  for (const reason of ['dns', 'unreachable', 'caa', 'rejected']) assert.is(statusOf(reason), 422, reason)
  for (const reason of ['account', 'profile', 'ca_down', 'bad_nonce', 'busy', 'timed_out', 'interrupted', 'disk'])
    assert.is(statusOf(reason), 502, reason)
  for (const reason of ['plugin', 'usage', 'unknown', undefined]) assert.is(statusOf(reason), 502, reason)
  assert.equal([...statusesOf('SSL_ISSUANCE_FAILED')], [502, 422])
  assert.equal([...statusesOf('BUSY')], [503])
})

test('a fault of the caller is only retryable if it is about time, and every message is one sentence', () => {
  for (const [code, { status, culprit, retryable, message }] of Object.entries(ERRORS)) {
    assert.ok(status >= 400 && status < 600, code)
    if (culprit === 'caller')
      assert.is(retryable, ['REQUEST_TIMEOUT', 'TOO_MANY_ATTEMPTS', 'TOO_MANY_STREAMS'].includes(code), code)
    assert.match(message, /^\w[^\n]*[^.\s]$/, code)
  }
})

test.run()
