/** A route's certificate: how tests obtain it, and what a client sees. */
import { request } from 'node:https'
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls'
import * as assert from 'uvu/assert'
import { type Answer, call, putRoute, type RealHost } from './host.ts'

/** A route with a certificate of its own. */
export async function route(host: RealHost, name: string, port: number): Promise<Answer> {
  await putRoute(host.manager, name, `${name}.example.com`, port, { enable_ssl: true })
  const issued = await call(host.manager, 'POST', `/proxies/${name}/ssl`)
  assert.is(issued.status, 200, JSON.stringify(issued.body))
  return issued
}

export function fingerprintOf(answer: Answer | undefined): string {
  const found = /"fingerprint_sha256":"([0-9a-f]{64})"/.exec(JSON.stringify(answer?.body))
  return found?.[1] ?? 'none'
}

export interface Secure {
  readonly body: string
  readonly fingerprint: string
  readonly protocol: string | null
}

/** One request over HTTPS, verified against the CA's root. */
export async function secure(port: number, domain: string, ca: string): Promise<Secure> {
  return await new Promise((resolve, reject) => {
    const asking = request(
      { host: '127.0.0.1', port, servername: domain, ca, agent: false, headers: { host: domain } },
      (response) => {
        const socket = response.socket as TLSSocket
        const certificate: DetailedPeerCertificate = socket.getPeerCertificate(true)
        let body = ''
        response.on('data', (chunk: Buffer) => {
          body += chunk.toString()
        })
        response.on('end', () =>
          resolve({
            body,
            fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
            protocol: socket.getProtocol(),
          }),
        )
      },
    )
    asking.on('error', reject)
    asking.end()
  })
}

/** Tries until there is an answer; fails after a minute. */
export async function eventually<T>(ask: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + 60_000
  while (Date.now() < deadline) {
    const answer = await ask()
    if (answer !== undefined) return answer
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error('it never happened')
}
