/** Probes over fresh connections to an address that was checked before: health checks, the generation, the served certificate. */
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect, type LookupFunction } from 'node:net'
import { connect as secure } from 'node:tls'
import { descriptors, type Limiter } from './disk/limiter.ts'
import { boundedAgent } from './http/bounded-agent.ts'
import { failureCode, type HttpAnswer } from './http-client.ts'

export interface ProbeRequest {
  /** `GET` by default. */
  readonly method?: 'GET' | 'HEAD'
  /** `http` by default. Over HTTPS the certificate is not verified. */
  readonly scheme?: 'http' | 'https'
  /** The literal address to connect to, whatever `host` is. */
  readonly address: string
  readonly port: number
  /** Sent as the Host header. */
  readonly host: string
  readonly path: string
  readonly timeoutMs: number
  /** The source address; by default the kernel's choice. */
  readonly localAddress?: string
  /** The listener expects a PROXY protocol header: it gets one without addresses, so that it keeps those of the connection. */
  readonly proxyProtocol?: boolean
  /** How its socket counts in the limit of descriptors ({@link descriptors}); without it, it does not. */
  readonly limited?: keyof Limiter
  /** Ends it early, as a TIMEOUT. */
  readonly signal?: AbortSignal
}

export interface HandshakeRequest {
  readonly address: string
  readonly port: number
  /** The name in SNI. */
  readonly serverName: string
  readonly timeoutMs: number
  /** As in {@link ProbeRequest}. */
  readonly localAddress?: string
  readonly proxyProtocol?: boolean
}

/** SHA-256 of the leaf certificate that was sent, 64 lower-case hexadecimal digits; `failure` as in {@link HttpAnswer}. */
export type Handshake = { readonly fingerprint: string } | { readonly failure: string }

export interface Probe {
  /** Makes a TLS handshake over a new connection; the certificate is read, not verified. Resolves for every outcome. */
  handshake(request: HandshakeRequest): Promise<Handshake>
  /** Sends one request over a new connection. Redirects are not followed; the body is cut after 4 KiB. Resolves for every outcome. */
  get(request: ProbeRequest): Promise<HttpAnswer>
}

const BODY_BYTES = 4096
const TICK_MS = 25
/** "The receiver must ignore anything presented before the CRLF" and use the connection's own addresses (PROXY protocol, version 1, section 2.1). */
const PROXY_HEADER = 'PROXY UNKNOWN\r\n'

/** Probes this host and its upstreams. */
export function hostProbe(): Probe {
  return {
    handshake: (request) => descriptors.quick(() => handshake(request)),
    get: (request) => (request.limited === undefined ? get(request) : descriptors[request.limited](() => get(request))),
  }
}

async function get({
  method = 'GET',
  scheme = 'http',
  address,
  port,
  host,
  path,
  timeoutMs,
  localAddress,
  proxyProtocol,
  signal: aborting,
}: ProbeRequest): Promise<HttpAnswer> {
  const { signal, stop } = activeTimeout(timeoutMs, aborting)
  const source = localAddress === undefined ? {} : { localAddress }
  const agentOptions = { lookup: alwaysTo(address), rejectUnauthorized: false, autoSelectFamily: false, ...source }
  const preamble = proxyProtocol === true ? PROXY_HEADER : ''
  const url = `${scheme}://probe.invalid:${port}${path}`
  const { agent, end, isTooLarge } = boundedAgent(url, { ...agentOptions, preamble })
  const headers = { host, 'user-agent': 'proxy-manager', connection: 'close' }
  const send = scheme === 'https' ? httpsRequest : httpRequest
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      send(url, { method, agent, headers, signal }, resolve).on('error', reject).end()
    })
    end()
    const { statusCode: status = 0 } = response
    const { server, location } = response.headers
    return {
      status,
      body: await readStart(response),
      ...(server === undefined ? {} : { server: String(server) }),
      ...(location === undefined ? {} : { location }),
    }
  } catch (error) {
    return { failure: isTooLarge() ? 'TOO_LARGE' : failureCode(error, signal) }
  } finally {
    stop()
    agent.destroy()
  }
}

function handshake({
  address,
  port,
  serverName,
  timeoutMs,
  localAddress,
  proxyProtocol,
}: HandshakeRequest): Promise<Handshake> {
  return new Promise((resolve) => {
    const connection = connect({ host: address, port, ...(localAddress === undefined ? {} : { localAddress }) })
    const settle = (result: Handshake) => {
      connection.destroy()
      resolve(result)
    }
    const fail = (error: NodeJS.ErrnoException) => settle({ failure: error.code ?? 'BROKEN' })
    connection.setTimeout(timeoutMs, () => settle({ failure: 'TIMEOUT' }))
    connection.on('error', fail)
    connection.once('connect', () => {
      if (proxyProtocol === true) connection.write(PROXY_HEADER)
      const socket = secure({ socket: connection, servername: serverName, rejectUnauthorized: false })
      socket.on('error', fail)
      socket.once('secureConnect', () =>
        settle({ fingerprint: socket.getPeerCertificate().fingerprint256.replaceAll(':', '').toLowerCase() }),
      )
    })
  })
}

/** The start of a body. */
async function readStart(body: AsyncIterable<Buffer>): Promise<string> {
  let text = ''
  for await (const chunk of body) {
    text += chunk.toString()
    if (text.length >= BODY_BYTES) break
  }
  return text.slice(0, BODY_BYTES)
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
 * Aborts after this long, or soon after `aborting`. Time in which this process was too busy to check does not count: an upstream is not unhealthy because hundreds of
 * other changes arrived at the same time.
 */
function activeTimeout(
  timeoutMs: number,
  aborting: AbortSignal | undefined,
): { readonly signal: AbortSignal; readonly stop: () => void } {
  const controller = new AbortController()
  let left = timeoutMs
  const timer = setInterval(() => {
    left -= TICK_MS
    if (left <= 0 || aborting?.aborted === true) controller.abort()
  }, TICK_MS)
  return { signal: controller.signal, stop: () => clearInterval(timer) }
}
