/** What every answer must keep, whatever the request. */
import * as v from 'valibot'
import { ERRORS, type ErrorCode, statusesOf } from '../../../lib/errors.ts'
import { assertDescribed, operations } from '../../helpers/described.ts'
import type { FuzzRequest } from './requests.ts'
import type { WireAnswer } from './wire.ts'

/** The 5xx errors that a caller can cause on a healthy host. */
const MAY_FAIL: ReadonlySet<ErrorCode> = new Set([
  'SSL_ISSUANCE_FAILED',
  'REGISTRY_UNAVAILABLE',
  'REGISTRY_NOT_CONFIGURED',
])
const Refusal = v.strictObject({
  error: v.strictObject({
    code: v.picklist(Object.keys(ERRORS) as ErrorCode[]),
    message: v.pipe(v.string(), v.minLength(1)),
    details: v.looseObject({
      stage: v.string(),
      state: v.literal('unchanged'),
      culprit: v.string(),
      retryable: v.boolean(),
      correlation_id: v.string(),
    }),
  }),
})
/** Texts of this process's and Node's internals: no answer may contain any. */
const INSIDE =
  /node:internal|node_modules|\bat [\w.<>]+ \((file|node):|\.ts:\d+:\d+|-----BEGIN|\bE(NOENT|ACCES|NAMETOOLONG|ISDIR|NOTDIR)\b/
const ID = /^[A-Za-z0-9._-]{1,128}$/

export interface Secrets {
  /** Directories and tokens that no answer may contain. */
  readonly texts: readonly string[]
}

/** What is wrong with an answer; empty if nothing is. */
export function faultsOf(request: FuzzRequest, answer: WireAnswer | string, secrets: Secrets): string[] {
  if (typeof answer === 'string') return [answer]
  const isHead = request.method === 'HEAD'
  const id = answer.headers.get('x-correlation-id') ?? ''
  const sentIds = request.headers.filter(([name]) => name === 'x-correlation-id').map(([, value]) => value)
  const [only] = sentIds
  const faults: string[] = []
  if (!ID.test(id)) faults.push('no correlation id')
  // A request that could not be read has no id.
  const isUnread = isHead || /is not an HTTP request|HEADERS_TOO_LARGE/.test(answer.body)
  const isRead = answer.headers.get('connection') !== 'close' || !isUnread
  if (isRead && sentIds.length === 1 && only !== undefined && ID.test(only) && only !== id)
    faults.push('another correlation id')
  if (answer.status !== 204 && answer.headers.get('cache-control') !== 'no-store') faults.push('may be cached')
  for (const name of ['access-control-allow-origin', 'set-cookie', 'server', 'x-powered-by'])
    if (answer.headers.has(name)) faults.push(`the header ${name}`)
  faults.push(...leaksOf(answer, secrets))
  if (isHead || answer.status === 204) return answer.body === '' ? faults : [...faults, 'an unexpected body']
  try {
    if (answer.status >= 400) faults.push(...faultsOfRefusal(answer, id))
    if (isDescribed(request)) {
      const headers = new Headers([...answer.headers])
      const isJson = answer.headers.get('content-type')?.startsWith('application/json')
      const body: unknown = isJson ? JSON.parse(answer.body) : undefined
      assertDescribed(request.method, request.target, {
        status: answer.status,
        headers,
        text: answer.body,
        ...(isJson && { body }),
      })
    } else if (answer.status < 400) faults.push('success of an undescribed request')
  } catch (error) {
    faults.push(error instanceof Error ? error.message.slice(0, 600) : String(error))
  }
  return faults
}

/** What is wrong with a refusal, by the rules for all of them. */
export function faultsOfRefusal({ status, body, headers }: WireAnswer, id: string): string[] {
  const refusal = v.safeParse(Refusal, JSON.parse(body))
  if (!refusal.success) return [`not an error of the catalogue: ${body.slice(0, 300)}`]
  const { code, details } = refusal.output.error
  const faults: string[] = []
  if (!statusesOf(code).has(status)) faults.push(`${code} with the status ${status}`)
  if (status >= 500 && !MAY_FAIL.has(code)) faults.push(`${code}: ${body.slice(0, 600)}`)
  if (details.correlation_id !== id) faults.push('an error with another correlation id')
  if (headers.get('content-type') !== 'application/json; charset=utf-8') faults.push('an error that is not JSON')
  return faults
}

/** A dry run names the paths that would change, which is its purpose. */
export function leaksOf({ body, headers }: Pick<WireAnswer, 'body' | 'headers'>, { texts }: Secrets): string[] {
  const plain = body.replace(/"plan":\{"changes":\[.*?\],"nginx_test"/, '')
  const answer = `${[...headers].flat().join('\n')}\n${plain}`
  const found = texts.filter((text) => answer.includes(text))
  const inside = INSIDE.exec(plain)?.[0]
  return [...found.map((text) => `it contains ${text}`), ...(inside === undefined ? [] : [`it contains ${inside}`])]
}

const DESCRIBED = operations.map(({ method, path }) => ({
  method,
  pattern: new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`),
}))

/** Dot segments, and characters that a URL parser replaces, lead to another path. */
function isDescribed({ method, target }: FuzzRequest): boolean {
  const [path = ''] = target.split('?')
  if (/(^|\/)(\.|%2e){1,2}(\/|$)|[#\\]/i.test(path)) return false
  return DESCRIBED.some((one) => one.method === method && one.pattern.test(path))
}
