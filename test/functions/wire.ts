/** Calls of a handler or of the app, and assertions about their answers. */
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import type { FakeDeps } from '../../fixtures/deps.ts'
import { type ErrorCode, statusesOf } from '../../lib/errors.ts'
import { ErrorBody } from '../../lib/http/openapi/error-schema.ts'
import type { Deps } from '../../lib/http/operation.ts'
import { DEFAULT_OPTIONS } from '../../lib/route/options.ts'
import { readRouteFile } from '../../lib/route/stored-route.ts'
import { textAt } from '../helpers/arrange.ts'
import { assertDescribed } from '../helpers/described.ts'

export interface CallOptions {
  readonly method?: string
  /** Sent as JSON. */
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** The parsed text; tests know its type. */
  readonly body: ReturnType<typeof JSON.parse>
}

type Handler = (request: Request, deps: Deps) => Promise<Response>

export const ORIGIN = 'http://127.0.0.1:8100'

export function requestTo(path: string, { method = 'GET', body, headers = {} }: CallOptions = {}): Request {
  const content = body === undefined ? {} : { body: JSON.stringify(body) }
  const type = body === undefined ? {} : { 'content-type': 'application/json' }
  return new Request(`${ORIGIN}${path}`, { method, ...content, headers: { ...type, ...headers } })
}

export async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text()
  const { status, headers } = response
  assert.match(headers.get('x-correlation-id') ?? '', /^[A-Za-z0-9._-]{1,128}$/)
  if (text === '') return { status, headers, text, body: undefined }
  assert.is(headers.get('content-length'), String(Buffer.byteLength(text)))
  assert.is(headers.get('cache-control'), 'no-store')
  // Only metrics are not JSON.
  const isMetrics = headers.get('content-type') === 'text/plain; version=0.0.4; charset=utf-8'
  if (!isMetrics) assert.is(headers.get('content-type'), 'application/json; charset=utf-8')
  return { status, headers, text, body: isMetrics ? undefined : JSON.parse(text) }
}

/** Calls a handler without the app, as a gateway that mounts it does; asserts that the API describes its answer. */
export async function call(handler: Handler, deps: Deps, path: string, options: CallOptions = {}): Promise<Answer> {
  const answer = await answerOf(await handler(requestTo(path, options), deps))
  assertDescribed(options.method ?? 'GET', path, answer)
  // Cleanup runs after the answer.
  await deps.engine.idle()
  return answer
}

/** Asserts a complete error of the catalogue; returns its details. */
export function assertError(answer: Answer, code: ErrorCode): Record<string, unknown> {
  assert.ok(v.is(ErrorBody, answer.body), answer.text)
  const { error } = answer.body
  assert.is(error.code, code, answer.text)
  assert.ok(statusesOf(code).has(answer.status), `${code} with the status ${answer.status}`)
  assert.is(error.details.correlation_id, answer.headers.get('x-correlation-id'))
  assert.not.match(answer.text, /\/(etc|var|usr|tmp|work)\/|\bat .*\.ts:\d+|-----BEGIN/)
  return error.details
}

/** Asserts the issues of INVALID_REQUEST, in any order. */
export function assertIssues(answer: Answer, issues: readonly (readonly [path: string, message: string])[]): void {
  const details = assertError(answer, 'INVALID_REQUEST')
  const wanted = issues.map(([path, message]) => ({ path, message }))
  assert.equal(sortedIssues(details.issues), sortedIssues(wanted))
}

function sortedIssues(issues: unknown): string[] {
  assert.ok(Array.isArray(issues))
  return issues.map((issue) => JSON.stringify(issue)).sort()
}

export const APP = { domain: 'app.example.com', upstream_port: 8002, enable_ssl: false }

/** The health of an upstream that was checked once. */
export const HEALTHY = { status: 'healthy', since: '2026-01-01T00:00:00.000Z', latency_ms: 0, recent: '1' }

/** That of one that was not. */
export const UNCHECKED = { status: 'unknown', since: null, latency_ms: null, recent: '' }

/** The route of {@link APP} as the API shows it while the fake clock stands still. */
export function appProxy(deps: FakeDeps, differing: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    droplet_name: 'app',
    domain: 'app.example.com',
    path: '/',
    upstream: 'http://localhost:8002',
    upstream_host: 'localhost',
    upstream_port: 8002,
    upstreams: [{ host: 'localhost', port: 8002, backup: false }],
    enable_ssl: false,
    ssl_enabled: false,
    status: 'active',
    source: 'api',
    options: DEFAULT_OPTIONS,
    last_health_status: 'healthy',
    last_health_checked_at: '2026-01-01T00:00:00.000Z',
    health: HEALTHY,
    certificate: null,
    created_at: '2026-01-01T00:00:00.000Z',
    updated_at: '2026-01-01T00:00:00.000Z',
    updated_by: { kind: 'local' },
    revision: revisionAt(deps, 'app'),
    ...differing,
  }
}

/** The same by itself, with each check. */
export function appDetails(deps: FakeDeps, differing: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const checks = [{ at: '2026-01-01T00:00:00.000Z', ok: true, ms: 0, failure: null }]
  return appProxy(deps, { health: { ...HEALTHY, failure: null, consecutive_failures: 0, checks }, ...differing })
}

/** The revision that a route's file says it is at. */
export function revisionAt({ disk }: FakeDeps, dropletName: string): string {
  const text = textAt(disk, `/etc/nginx/sites-available/fpai-${dropletName}.conf`) ?? ''
  return readRouteFile(dropletName, text)?.revision ?? ''
}

export const NO_TIMES = 'queue;dur=0.0, probe;dur=0.0, test;dur=0.0, swap;dur=0.0, reload;dur=0.0, confirm;dur=0.0'
