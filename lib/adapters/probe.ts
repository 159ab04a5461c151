/** Probes over fresh connections to an address that was checked before: health checks, the generation, the served certificate. */

import { type Agent, Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { LookupFunction } from 'node:net'
import { connect } from 'node:tls'
import fetch, { FetchError } from 'node-fetch'

export interface ProbeRequest {
  /** `http` where left out. Over HTTPS the certificate is not verified. */
  readonly scheme?: 'http' | 'https'
  /** The literal address to connect to, whatever `host` says. */
  readonly address: string
  readonly port: number
  /** Sent as the Host header. */
  readonly host: string
  readonly path: string
  readonly timeoutMs: number
}

/** What came back; `failure` is the errno's name, `TIMEOUT`, `TOO_LARGE` or `BROKEN`, where nothing did. */
export type ProbeAnswer = { readonly status: number; readonly body: string } | { readonly failure: string }

export interface HandshakeRequest {
  readonly address: string
  readonly port: number
  /** The name in SNI. */
  readonly serverName: string
  readonly timeoutMs: number
}

/** SHA-256 of the leaf certificate that was shown, 64 lower-case hexadecimal digits. */
export type Handshake = { readonly fingerprint: string } | { readonly failure: string }

export interface Download {
  readonly url: string
  readonly timeoutMs: number
  /** A longer body is a failure. */
  readonly limitBytes: number
  /** Sent as `Authorization: Bearer`. */
  readonly token?: string
  /** Posted as JSON; where it is left out, this is a GET. */
  readonly json?: unknown
}

export interface Probe {
  /** Gets a whole text from a service that the operator has named, or posts to it. Redirects are not followed. Resolves for every outcome. */
  download(request: Download): Promise<ProbeAnswer>
  /** Shakes hands over a new TLS connection; the certificate is looked at, not trusted. Resolves for every outcome. */
  handshake(request: HandshakeRequest): Promise<Handshake>
  /** Sends one GET over a new connection. Redirects are not followed; the body is cut after 4 KiB. Resolves for every outcome. */
  get(request: ProbeRequest): Promise<ProbeAnswer>
}

const BODY_BYTES = 4096
const TICK_MS = 25
/** What may come before an answer's head has ended: Node's own limit for it, some interim answers, and one read of what follows. */
const HEAD_BYTES = 80 * 1024
/** No more interim answers than this come in one piece. */
const MAX_INTERIM = 16

/** Probes with node-fetch, which honours a Host header and an agent, both of which the global fetch does not. */
export function hostProbe(): Probe {
  return {
    download: async ({ url, timeoutMs, limitBytes, token, json }) => {
      const signal = AbortSignal.timeout(timeoutMs)
      const { agent, endOfHead, isTooLarge } = boundedAgent(url.startsWith('https:') ? 'https' : 'http')
      try {
        // `size` makes a longer body fail while it is being read.
        const headers = {
          accept: 'application/json',
          'user-agent': 'proxy-manager',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(json === undefined ? {} : { 'content-type': 'application/json' }),
        }
        const post = json === undefined ? {} : { method: 'POST', body: JSON.stringify(json) }
        const response = await fetch(url, { agent, signal, redirect: 'manual', size: limitBytes, headers, ...post })
        endOfHead()
        return { status: response.status, body: await response.text() }
      } catch (error) {
        return { failure: isTooLarge() ? 'TOO_LARGE' : failureOf(error, signal) }
      } finally {
        agent.destroy()
      }
    },
    handshake: ({ address, port, serverName, timeoutMs }) =>
      new Promise((resolve) => {
        const socket = connect({
          host: address,
          port,
          servername: serverName,
          rejectUnauthorized: false,
          timeout: timeoutMs,
        })
        const settle = (result: Handshake) => {
          socket.destroy()
          resolve(result)
        }
        socket.once('secureConnect', () =>
          settle({ fingerprint: socket.getPeerCertificate().fingerprint256.replaceAll(':', '').toLowerCase() }),
        )
        socket.once('timeout', () => settle({ failure: 'TIMEOUT' }))
        socket.once('error', (error: NodeJS.ErrnoException) => settle({ failure: error.code ?? 'BROKEN' }))
      }),
    get: async ({ scheme = 'http', address, port, host, path, timeoutMs }) => {
      const family = address.includes(':') ? 6 : 4
      const lookup: LookupFunction = (_name, options, callback) => {
        if (options.all === true) callback(null, [{ address, family }])
        else callback(null, address, family)
      }
      const { agent, endOfHead, isTooLarge } = boundedAgent(scheme, {
        lookup,
        rejectUnauthorized: false,
        autoSelectFamily: false,
      })
      const { signal, stop } = ownTime(timeoutMs)
      try {
        const response = await fetch(`${scheme}://probe.invalid:${port}${path}`, {
          agent,
          signal,
          redirect: 'manual',
          compress: false,
          headers: { host, 'user-agent': 'proxy-manager', connection: 'close' },
        })
        endOfHead()
        let body = ''
        try {
          for await (const chunk of response.body ?? []) {
            body += chunk.toString()
            if (body.length >= BODY_BYTES) break
          }
        } catch (error) {
          return { failure: failureOf(error, signal) }
        }
        return { status: response.status, body: body.slice(0, BODY_BYTES) }
      } catch (error) {
        return { failure: isTooLarge() ? 'TOO_LARGE' : failureOf(error, signal) }
      } finally {
        stop()
        agent.destroy()
      }
    },
  }
}

/**
 * Aborts after this long. Time in which this process was too busy to look does not count: an upstream is not unhealthy because hundreds of
 * other changes came with its own.
 */
function ownTime(timeoutMs: number): { readonly signal: AbortSignal; readonly stop: () => void } {
  const controller = new AbortController()
  let left = timeoutMs
  const timer = setInterval(() => {
    left -= TICK_MS
    if (left <= 0) controller.abort()
  }, TICK_MS)
  return { signal: controller.signal, stop: () => clearInterval(timer) }
}

/**
 * An agent for one request, whose answer must begin within so many bytes. Node takes interim answers (RFC 9110, 15.2) without end, as fast as
 * they come, and those of one piece without a look at anything else: a few peers that send them would leave this process no time.
 */
function boundedAgent(
  scheme: 'http' | 'https',
  options: object = {},
): { readonly agent: Agent; readonly endOfHead: () => void; readonly isTooLarge: () => boolean } {
  const agent = scheme === 'http' ? new HttpAgent({ ...options }) : new HttpsAgent({ ...options })
  const connect = agent.createConnection.bind(agent)
  let left = HEAD_BYTES
  let isBegun = false
  agent.createConnection = (...given) => {
    const socket = connect(...given)
    socket?.on('data', (chunk: Buffer) => {
      if (isBegun) return
      left -= chunk.length
      if (left >= 0 && chunk.toString('latin1').split('\r\n\r\nHTTP/1.').length <= MAX_INTERIM) return
      left = -1
      // Node's parser is given this piece in any case: there is to be nothing in it to parse.
      chunk.fill(0)
      socket.destroy()
    })
    return socket
  }
  return {
    agent,
    endOfHead: () => {
      isBegun = true
    },
    isTooLarge: () => left < 0,
  }
}

function failureOf(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return 'TIMEOUT'
  if (error instanceof FetchError && error.type === 'max-size') return 'TOO_LARGE'
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : 'BROKEN'
}
