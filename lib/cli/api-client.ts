/** Calls of the running API. */

import * as v from 'valibot'
import { parseVariables } from '../settings/parse-settings.ts'
import { baseUrl, text } from '../settings/schemas.ts'
import { VARIABLES } from '../settings/settings.ts'
import { type CliContext, CommandFailure, EXIT } from './command.ts'
import { ENV_FILE, parseEnvFile } from './env-file.ts'
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
 * Calls the API. `schema` names the parts of the answer that are shown; a newer API may answer with more.
 * @throws {CommandFailure} if the API refuses the call or cannot be reached
 */
export async function callApi<T>(
  context: CliContext,
  { method, path, query = {}, body, headers, waitS = 0 }: ApiCall,
  schema: v.GenericSchema<unknown, T>,
): Promise<Answer<T>> {
  const { base, credentials } = readTarget(context)
  const timeoutMs = TIMEOUT_MS + waitS * 1000
  const signal = AbortSignal.timeout(timeoutMs)
  const init = {
    method,
    headers: {
      accept: 'application/json',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...credentials,
      ...headers,
    },
    redirect: 'error' as const,
    signal,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  }
  const {
    status,
    headers: answered,
    answer,
  } = await context.fetch(`${base}${path}${searchOf(query)}`, init).then(
    async (response) => ({ status: response.status, headers: response.headers, answer: await response.text() }),
    (error: unknown) => {
      const cause = signal.aborted ? `no answer within ${timeoutMs / 1000} s` : describeCause(error)
      throw unreachable(`${base} cannot be reached (${cause})`)
    },
  )
  const json = parseJson(answer)
  const refused = v.safeParse(Refusal, json)
  if (refused.success) {
    const { code } = refused.output.error
    throw new CommandFailure(EXIT.refused, describeRefusal(refused.output, answered.get('retry-after')), { code, json })
  }
  const parsed = v.safeParse(schema, json)
  if (!parsed.success) throw unreachable(`the server at ${base} (status ${status}) is not Proxy Manager`)
  return { status, timing: answered.get('server-timing'), json, shown: parsed.output }
}

function searchOf(query: Readonly<Record<string, unknown>>): string {
  const parameters = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)]],
  )
  return parameters.length === 0 ? '' : `?${new URLSearchParams(parameters)}`
}

/**
 * Reads a stream of events until the API ends it.
 * @throws {CommandFailure} in any case: the API refuses the call, cannot be reached, or has ended the stream
 */
export async function streamApi<T>(
  context: CliContext,
  { path, query = {} }: ApiCall,
  schema: v.GenericSchema<unknown, T>,
  onEvent: (event: T) => void,
): Promise<never> {
  const { base, credentials } = readTarget(context)
  const headers = { accept: 'text/event-stream', ...credentials }
  try {
    const response = await fetch(`${base}${path}${searchOf(query)}`, { headers, redirect: 'error' })
    let rest = ''
    for await (const text of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const lines = `${rest}${text}`.split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        const event = v.safeParse(schema, parseJson(line.replace(/^data: /, '')))
        if (event.success) onEvent(event.output)
      }
    }
  } catch (error) {
    throw unreachable(`${base} cannot be reached (${describeCause(error)})`)
  }
  throw unreachable(`the API at ${base} has ended the stream`)
}

/** The path of a route. The name is escaped, not checked: the API does that. */
export function proxyPath(name: string): string {
  return `/proxies/${encodeURIComponent(name)}`
}

/**
 * The API's address and the headers that authenticate the call. Without PROXY_MANAGER_URL, it is the service of this host.
 * @throws {CommandFailure} if a variable is invalid
 */
function readTarget(context: CliContext) {
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
