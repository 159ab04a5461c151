/** HTTP requests that are bounded in time, in size, and in what a peer may send before its answer. */
import { isIPv6, type LookupFunction } from 'node:net'
import fetch, { FetchError, type RequestInit, type Response } from 'node-fetch'
import { boundedAgent, type ConnectionOptions } from './http/bounded-agent.ts'
import type { Network } from './network.ts'

export interface HttpRequest {
  readonly url: string
  readonly timeoutMs: number
  /** A longer body is a failure. */
  readonly limitBytes: number
  /** Sent as `Authorization: Bearer`. */
  readonly token?: string
  /** Sent as JSON; without it, the request is a GET. */
  readonly json?: unknown
  /** How `json` is sent; by default with POST. */
  readonly method?: 'POST' | 'PATCH'
}

/** Like the global fetch, which gives up after five minutes without the head of an answer; this one waits for as long as its signal permits. */
export type PatientFetch = (
  url: string,
  init: {
    readonly method: string
    readonly headers: Readonly<Record<string, string>>
    readonly redirect: 'error'
    readonly signal: AbortSignal
    readonly body?: string
  },
) => Promise<Pick<Response, 'status' | 'headers' | 'text'>>

export const patientFetch: PatientFetch = fetch

/** Status and body, with the `Server` and (of a probe) the `Location` header if there is one; or why there is no answer: `failure` is the errno's name, `TIMEOUT`, `TOO_LARGE` or `BROKEN`. */
export type HttpAnswer =
  | { readonly status: number; readonly body: string; readonly server?: string; readonly location?: string }
  | { readonly failure: string }

export interface HttpClient {
  /** Calls a service that the operator has named, and reads its whole answer. Redirects are not followed. Resolves for every outcome. */
  request(request: HttpRequest): Promise<HttpAnswer>
}

/** node-fetch honours an agent, which the global fetch does not. Names are resolved by `network`. */
export function httpClient(network: Pick<Network, 'lookup'>): HttpClient {
  return {
    request: async ({ url, timeoutMs, limitBytes, token, json, method = 'POST' }) => {
      const headers = {
        accept: 'application/json',
        'user-agent': 'proxy-manager',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(json === undefined ? {} : { 'content-type': 'application/json' }),
      }
      const sent = json === undefined ? {} : { method, body: JSON.stringify(json) }
      const signal = AbortSignal.timeout(timeoutMs)
      // `size` makes a longer body fail while it is being read.
      return await boundedFetch(
        url,
        { signal, size: limitBytes, headers, ...sent },
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

/** One request over a connection of its own. Redirects are not followed; `read` reads the body. Resolves for every outcome. */
async function boundedFetch(
  url: string,
  init: RequestInit & { readonly signal: AbortSignal },
  agentOptions: ConnectionOptions,
  read: (response: Response) => Promise<string>,
): Promise<HttpAnswer> {
  const { agent, end, isTooLarge } = boundedAgent(url, agentOptions)
  try {
    const response = await fetch(url, { ...init, agent, redirect: 'manual' })
    end()
    const server = response.headers.get('server')
    return { status: response.status, body: await read(response), ...(server === null ? {} : { server }) }
  } catch (error) {
    return { failure: isTooLarge() ? 'TOO_LARGE' : failureCode(error, init.signal) }
  } finally {
    agent.destroy()
  }
}

/** Why a request has failed, as in {@link HttpAnswer}. */
export function failureCode(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return 'TIMEOUT'
  if (error instanceof FetchError && error.type === 'max-size') return 'TOO_LARGE'
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : 'BROKEN'
}
