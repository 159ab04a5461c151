/** Probes over fresh connections to an address that was checked before: health checks, the generation, the served certificate. */
import type { LookupFunction } from 'node:net'
import { connect } from 'node:tls'
import { boundedFetch, type HttpAnswer } from './http-client.ts'

export interface ProbeRequest {
  /** `http` by default. Over HTTPS the certificate is not verified. */
  readonly scheme?: 'http' | 'https'
  /** The literal address to connect to, whatever `host` is. */
  readonly address: string
  readonly port: number
  /** Sent as the Host header. */
  readonly host: string
  readonly path: string
  readonly timeoutMs: number
}

export interface HandshakeRequest {
  readonly address: string
  readonly port: number
  /** The name in SNI. */
  readonly serverName: string
  readonly timeoutMs: number
}

/** SHA-256 of the leaf certificate that was sent, 64 lower-case hexadecimal digits; `failure` as in {@link HttpAnswer}. */
export type Handshake = { readonly fingerprint: string } | { readonly failure: string }

export interface Probe {
  /** Makes a TLS handshake over a new connection; the certificate is read, not verified. Resolves for every outcome. */
  handshake(request: HandshakeRequest): Promise<Handshake>
  /** Sends one GET over a new connection. Redirects are not followed; the body is cut after 4 KiB. Resolves for every outcome. */
  get(request: ProbeRequest): Promise<HttpAnswer>
}

const BODY_BYTES = 4096
const TICK_MS = 25

/** Probes this host and its upstreams. */
export function hostProbe(): Probe {
  return {
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
      const { signal, stop } = activeTimeout(timeoutMs)
      const headers = { host, 'user-agent': 'proxy-manager', connection: 'close' }
      const agentOptions = { lookup: alwaysTo(address), rejectUnauthorized: false, autoSelectFamily: false }
      const url = `${scheme}://probe.invalid:${port}${path}`
      try {
        return await boundedFetch(url, { signal, compress: false, headers }, agentOptions, async ({ body }) => {
          let text = ''
          for await (const chunk of body ?? []) {
            text += chunk.toString()
            if (text.length >= BODY_BYTES) break
          }
          return text.slice(0, BODY_BYTES)
        })
      } finally {
        stop()
      }
    },
  }
}

/** Resolves every name to this address. */
function alwaysTo(address: string): LookupFunction {
  const family = address.includes(':') ? 6 : 4
  return (_name, options, callback) => {
    if (options.all === true) callback(null, [{ address, family }])
    else callback(null, address, family)
  }
}

/**
 * Aborts after this long. Time in which this process was too busy to check does not count: an upstream is not unhealthy because hundreds of
 * other changes arrived at the same time.
 */
function activeTimeout(timeoutMs: number): { readonly signal: AbortSignal; readonly stop: () => void } {
  const controller = new AbortController()
  let left = timeoutMs
  const timer = setInterval(() => {
    left -= TICK_MS
    if (left <= 0) controller.abort()
  }, TICK_MS)
  return { signal: controller.signal, stop: () => clearInterval(timer) }
}
