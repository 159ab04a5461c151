/** Calls of the running API. */

import * as v from 'valibot'
import { parseVariables } from '../settings/parse-settings.ts'
import { baseUrl, text } from '../settings/schemas.ts'
import { VARIABLES } from '../settings/settings.ts'
import { type CliContext, CommandFailure, EXIT } from './command.ts'
import { ENV_FILE, parseEnvFile } from './env-file.ts'
import { NoStream, readStream, type StreamedEvent, type Target, withQuery } from './event-stream.ts'
import { showProgress } from './progress.ts'
import { describeRefusal, Refusal } from './refusal.ts'

/** Ordering a certificate takes minutes. */
const TIMEOUT_MS = 290_000

const TARGET = {
  PROXY_MANAGER_URL: v.undefinedable(baseUrl),
  PROXY_MANAGER_HOST: VARIABLES.PROXY_MANAGER_HOST,
  PROXY_MANAGER_PORT: VARIABLES.PROXY_MANAGER_PORT,
  PROXY_MANAGER_API_TOKEN: v.undefinedable(text(/^[\x21-\x7e]+$/, 'printable characters without spaces')),
}

export interface ApiCall {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE'
  readonly path: string
  /** An `undefined` parameter is left out. */
  readonly query?: Readonly<Record<string, unknown>>
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** How many seconds the API may wait for others, in addition to its own work. */
  readonly waitS?: number
}

export interface Answer<T> {
  readonly status: number
  /** How long the steps of a change took: `Server-Timing`. */
  readonly timing: string | null
  readonly json: unknown
  readonly shown: T
}

/**
 * Calls the API, and shows the steps of a change that takes long. `schema` names the parts of the answer that are shown; a newer API may answer
 * with more.
 * @throws {CommandFailure} if the API refuses the call or cannot be reached
 */
export async function callApi<T>(
  context: CliContext,
  { method, path, query = {}, body, headers, waitS = 0 }: ApiCall,
  schema: v.GenericSchema<unknown, T>,
): Promise<Answer<T>> {
  const target = readTarget(context)
  const { base, credentials } = target
  const correlationId = context.randomId()
  const timeoutMs = TIMEOUT_MS + waitS * 1000
  const signal = AbortSignal.timeout(timeoutMs)
  const init = {
    method,
    headers: {
      accept: 'application/json',
      'x-correlation-id': correlationId,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...credentials,
      ...headers,
    },
    redirect: 'error' as const,
    signal,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  }
  const endProgress = method === 'GET' ? () => undefined : showProgress(context, target, correlationId)
  const {
    status,
    headers: answered,
    answer,
  } = await context
    .fetch(`${base}${withQuery(path, query)}`, init)
    .then(
      async (response) => ({ status: response.status, headers: response.headers, answer: await response.text() }),
      (error: unknown) => {
        const cause = signal.aborted ? `no answer within ${timeoutMs / 1000} s` : describeCause(error)
        throw unreachable(`${base} cannot be reached (${cause})`)
      },
    )
    .finally(endProgress)
  const json = parseJson(answer)
  const refused = refusalIn(json, answered.get('retry-after'))
  if (refused !== undefined) throw refused
  const parsed = v.safeParse(schema, json)
  if (!parsed.success) throw unknownServer(base, status)
  return { status, timing: answered.get('server-timing'), json, shown: parsed.output }
}

function refusalIn(json: unknown, retryAfter: string | null): CommandFailure | undefined {
  const refused = v.safeParse(Refusal, json)
  if (!refused.success) return undefined
  const { code } = refused.output.error
  return new CommandFailure(EXIT.refused, describeRefusal(refused.output, retryAfter), { code, json })
}

function unknownServer(base: string, status: number): CommandFailure {
  return unreachable(`the server at ${base} (status ${status}) is not Proxy Manager`)
}

const FIRST_PAUSE_MS = 1000
const LONGEST_PAUSE_MS = 30_000

/**
 * Follows events after the one with this id. When the stream ends or breaks, it is opened again and continues after the last event: what happened
 * meanwhile is not missed.
 * @throws {CommandFailure} in any case, at the latest when the API refuses the call
 */
export async function followEvents(
  context: CliContext,
  { after, ...query }: Readonly<Record<string, unknown>> & { readonly after: number },
  onEvent: (event: StreamedEvent) => void,
): Promise<never> {
  const target = readTarget(context)
  let last = after
  let pauseMs = FIRST_PAUSE_MS
  let isLost = false
  const say = (words: string) => context.err(`proxy-manager: ${words}\n`)
  const onOpen = () => {
    if (isLost) say('connected again')
    isLost = false
    pauseMs = FIRST_PAUSE_MS
  }
  const take = (event: StreamedEvent) => {
    if (event.type === 'reset') say('events are gone from the log that were not shown')
    last = event.id ?? last
    onEvent(event)
  }
  for (;;) {
    const end = await readStream(target, { ...query, after: last }, take, { onOpen }).catch((error: unknown) => error)
    if (end instanceof NoStream && end.status < 500 && end.status !== 429) throw noStream(target, end)
    if (!isLost) say(`${end === undefined ? 'the API has ended the stream' : describeCause(end)}; connecting again`)
    isLost = true
    await pause(context, pauseMs)
    pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)
  }
}

function noStream({ base }: Target, { status, answer }: NoStream): CommandFailure {
  return refusalIn(parseJson(answer), null) ?? unknownServer(base, status)
}

function pause({ every }: CliContext, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const stop = every(ms, () => {
      stop()
      resolve()
    })
  })
}

/** The path of a route. The name is escaped, not checked: the API does that. */
export function proxyPath(name: string): string {
  return `/proxies/${encodeURIComponent(name)}`
}

/**
 * The API's address and the headers that authenticate the call. Without PROXY_MANAGER_URL, it is the service of this host.
 * @throws {CommandFailure} if a variable is invalid
 */
function readTarget(context: CliContext): Target {
  const { PROXY_MANAGER_URL: url, ...others } = context.environment
  const environment = url
    ? { ...others, PROXY_MANAGER_URL: url, PROXY_MANAGER_HOST: undefined, PROXY_MANAGER_PORT: undefined }
    : { ...installedTarget(context), ...Object.fromEntries(Object.entries(others).filter(([, value]) => value)) }
  const parsed = parseVariables(TARGET, environment, context.read)
  if ('faults' in parsed) throw new CommandFailure(EXIT.usage, parsed.faults.join('; '))
  const { PROXY_MANAGER_HOST: host, PROXY_MANAGER_PORT: port, PROXY_MANAGER_API_TOKEN: token } = parsed
  return {
    base: parsed.PROXY_MANAGER_URL ?? `http://${reachable(host)}:${port}`,
    credentials: token === undefined ? undefined : { authorization: `Bearer ${token}` },
  }
}

/**
 * What the environment file of an installation says about address and token; nothing for a user who may not read it. A token in the environment
 * replaces that of the file. A line that cannot be understood is no reason to stop: the service may run with it.
 */
function installedTarget({ environment, read, err }: CliContext): Readonly<Record<string, string>> {
  const file = read(ENV_FILE)
  if ('failure' in file) return {}
  const parsed = parseEnvFile(file.text)
  if ('fault' in parsed) {
    err(`proxy-manager: ${ENV_FILE} is not used: ${parsed.fault}\n`)
    return {}
  }
  const hasToken = environment.PROXY_MANAGER_API_TOKEN || environment.PROXY_MANAGER_API_TOKEN_FILE
  const isUsed = (name: string) => !(hasToken && name.includes('_TOKEN'))
  return Object.fromEntries(
    Object.entries(parsed.variables).filter(([name]) => name !== 'PROXY_MANAGER_URL' && isUsed(name)),
  )
}

/** The address at which to call an API that listens on this one: an unspecified address stands for loopback as well. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (!host.includes(':')) return host
  return /^[0:]+$/.test(host) ? '[::1]' : `[${host}]`
}

function unreachable(message: string): CommandFailure {
  const remedy = 'Start it with "proxy-manager serve", or set PROXY_MANAGER_URL to its address'
  return new CommandFailure(EXIT.unreachable, `${message}\n  remedy: ${remedy}`)
}

/** The name of the failure, such as ECONNREFUSED. */
function describeCause(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
