/** What every answer has to keep, whatever was asked. */
import * as v from 'valibot'
import { ERRORS, type ErrorCode } from '../../../lib/errors.ts'
import { assertDescribed, operations } from '../../helpers/described.ts'
import type { FuzzRequest } from './requests.ts'
import type { WireAnswer } from './wire.ts'

/** Of the 5xx, those that a caller can bring about on a host on which all is well. */
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
/** Words of this process's inside, and of Node's: no answer has any. */
const INSIDE =
  /node:internal|node_modules|\bat [\w.<>]+ \((file|node):|\.ts:\d+:\d+|-----BEGIN|\bE(NOENT|ACCES|NAMETOOLONG|ISDIR|NOTDIR)\b/
const ID = /^[A-Za-z0-9._-]{1,128}$/

export interface Secrets {
  /** Folders and tokens that no answer may hold. */
  readonly texts: readonly string[]
}

/** What is wrong with an answer; nothing, where it is as it must be. */
export function faultsOf(request: FuzzRequest, answer: WireAnswer | string, secrets: Secrets): string[] {
  if (typeof answer === 'string') return [answer]
  const isHead = request.method === 'HEAD'
  const id = answer.headers.get('x-correlation-id') ?? ''
  const asked = request.headers.filter(([name]) => name === 'x-correlation-id').map(([, value]) => value)
  const [only] = asked
  const faults: string[] = []
  if (!ID.test(id)) faults.push('no correlation id')
  // What could not be read has no id of its own.
  const isUnread = isHead || /is not an HTTP request|HEADERS_TOO_LARGE/.test(answer.body)
  const isRead = answer.headers.get('connection') !== 'close' || !isUnread
  if (isRead && asked.length === 1 && only !== undefined && ID.test(only) && only !== id)
    faults.push('another correlation id')
  if (answer.status !== 204 && answer.headers.get('cache-control') !== 'no-store') faults.push('may be cached')
  for (const name of ['access-control-allow-origin', 'set-cookie', 'server', 'x-powered-by'])
    if (answer.headers.has(name)) faults.push(`the header ${name}`)
  faults.push(...leaksOf(answer, secrets))
  if (isHead || answer.status === 204) return answer.body === '' ? faults : [...faults, 'a body where none may be']
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
    } else if (answer.status < 400) faults.push('a success of what is not described')
  } catch (error) {
    faults.push(error instanceof Error ? error.message.slice(0, 600) : String(error))
  }
  return faults
}

/** What is wrong with a refusal, as every one of them is. */
export function faultsOfRefusal({ status, body, headers }: WireAnswer, id: string): string[] {
  const refusal = v.safeParse(Refusal, JSON.parse(body))
  if (!refusal.success) return [`no error of the catalogue: ${body.slice(0, 300)}`]
  const { code, details } = refusal.output.error
  const faults: string[] = []
  if (ERRORS[code].status !== status) faults.push(`${code} with the status ${status}`)
  if (status >= 500 && !MAY_FAIL.has(code)) faults.push(`${code}: ${body.slice(0, 600)}`)
  if (details.correlation_id !== id) faults.push('an error with another correlation id')
  if (headers.get('content-type') !== 'application/json; charset=utf-8') faults.push('an error that is no JSON')
  return faults
}

/** A dry run names the paths that would change, which is what it is for. */
export function leaksOf({ body, headers }: Pick<WireAnswer, 'body' | 'headers'>, { texts }: Secrets): string[] {
  const plain = body.replace(/"plan":\{"changes":\[.*?\],"nginx_test"/, '')
  const said = `${[...headers].flat().join('\n')}\n${plain}`
  const found = texts.filter((text) => said.includes(text))
  const inside = INSIDE.exec(plain)?.[0]
  return [...found.map((text) => `it holds ${text}`), ...(inside === undefined ? [] : [`it holds ${inside}`])]
}

const DESCRIBED = operations.map(({ method, path }) => ({
  method,
  pattern: new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`),
}))

/** Dot segments, and what a URL's reader takes for another character, lead to another path. */
function isDescribed({ method, target }: FuzzRequest): boolean {
  const [path = ''] = target.split('?')
  if (/(^|\/)(\.|%2e){1,2}(\/|$)|[#\\]/i.test(path)) return false
  return DESCRIBED.some((one) => one.method === method && one.pattern.test(path))
}
