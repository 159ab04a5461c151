/** HTTP requests that are bounded in time, in size, and in what a peer may send before its answer. */
import { type Agent, type AgentOptions, Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { isIPv6, type LookupFunction } from 'node:net'
import fetch, { FetchError, type RequestInit, type Response } from 'node-fetch'
import type { Network } from './network.ts'

export interface HttpRequest {
  readonly url: string
  readonly timeoutMs: number
  /** A longer body is a failure. */
  readonly limitBytes: number
  /** Sent as `Authorization: Bearer`. */
  readonly token?: string
  /** Posted as JSON; without it, the request is a GET. */
  readonly json?: unknown
}

/** Status and body, with the `Server` header if there is one; or why there is no answer: `failure` is the errno's name, `TIMEOUT`, `TOO_LARGE` or `BROKEN`. */
export type HttpAnswer =
  | { readonly status: number; readonly body: string; readonly server?: string }
  | { readonly failure: string }

export interface HttpClient {
  /** Calls a service that the operator has named, and reads its whole answer. Redirects are not followed. Resolves for every outcome. */
  request(request: HttpRequest): Promise<HttpAnswer>
}

/** node-fetch honours an agent, which the global fetch does not. Names are resolved by `network`. */
export function httpClient(network: Pick<Network, 'lookup'>): HttpClient {
  return {
    request: async ({ url, timeoutMs, limitBytes, token, json }) => {
      const headers = {
        accept: 'application/json',
        'user-agent': 'proxy-manager',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(json === undefined ? {} : { 'content-type': 'application/json' }),
      }
      const post = json === undefined ? {} : { method: 'POST', body: JSON.stringify(json) }
      const signal = AbortSignal.timeout(timeoutMs)
      // `size` makes a longer body fail while it is being read.
      return await boundedFetch(
        url,
        { signal, size: limitBytes, headers, ...post },
        { lookup: lookupBy(network, timeoutMs) },
        (response) => response.text(),
      )
    },
  }
}

function lookupBy(network: Pick<Network, 'lookup'>, timeoutMs: number): LookupFunction {
  return (name, options, callback) => {
    const found = network.lookup(name, timeoutMs).then((addresses) => {
      const entries = addresses.map((address) => ({ address, family: isIPv6(address) ? 6 : 4 }))
      const [first] = entries
      if (first === undefined) throw Object.assign(new Error(`${name} does not resolve`), { code: 'ENOTFOUND' })
      return { first, entries }
    })
    found.then(
      ({ first, entries }) =>
        options.all === true ? callback(null, entries) : callback(null, first.address, first.family),
      (error: NodeJS.ErrnoException) => callback(error, []),
    )
  }
}

/** Node's own limit for an answer's head, some interim answers, and one read of what follows. */
const HEAD_BYTES = 80 * 1024
/** More interim answers than this in one read are not an answer. */
const MAX_INTERIM = 16

interface ConnectionOptions extends AgentOptions {
  /** Sent over plain HTTP before the request. */
  readonly preamble?: string
}

/** One request over a connection of its own. Redirects are not followed; `read` reads the body. Resolves for every outcome. */
export async function boundedFetch(
  url: string,
  init: RequestInit & { readonly signal: AbortSignal },
  agentOptions: ConnectionOptions,
  read: (response: Response) => Promise<string>,
): Promise<HttpAnswer> {
  const head = boundedAgent(url, agentOptions)
  try {
    const response = await fetch(url, { ...init, agent: head.agent, redirect: 'manual' })
    head.end()
    if (head.isTooLarge()) return { failure: 'TOO_LARGE' }
    const server = response.headers.get('server')
    return { status: response.status, body: await read(response), ...(server === null ? {} : { server }) }
  } catch (error) {
    return { failure: head.isTooLarge() ? 'TOO_LARGE' : failureCode(error, init.signal) }
  } finally {
    head.agent.destroy()
  }
}

/**
 * An agent for one request, whose answer must begin within {@link HEAD_BYTES}; its body, after `end()`, is not counted. Node accepts interim
 * answers (RFC 9110, 15.2) without end and as fast as they arrive: a few peers that send them would leave this process no time.
 */
function boundedAgent(url: string, { preamble = '', ...options }: ConnectionOptions) {
  const agent: Agent = url.startsWith('https:') ? new HttpsAgent({ ...options }) : new HttpAgent({ ...options })
  const connect = agent.createConnection.bind(agent)
  let left = HEAD_BYTES
  let hasEnded = false
  // Documented as what a custom agent may override; the HTTP parser listens to the same `data` events.
  agent.createConnection = (...given) => {
    const socket = connect(...given)
    if (preamble !== '') socket?.write(preamble)
    socket?.on('data', (chunk: Buffer) => {
      if (hasEnded) return
      left -= chunk.length
      if (left >= 0 && chunk.toString('latin1').split('\r\n\r\nHTTP/1.').length <= MAX_INTERIM) return
      left = -1
      socket.destroy()
    })
    return socket
  }
  return {
    agent,
    end: () => {
      hasEnded = true
    },
    isTooLarge: () => left < 0,
  }
}

function failureCode(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return 'TIMEOUT'
  if (error instanceof FetchError && error.type === 'max-size') return 'TOO_LARGE'
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : 'BROKEN'
}
