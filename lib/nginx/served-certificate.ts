/** The proof of certificates: NGINX is asked for each of them as a client would ask. */
import type { Host } from '../host/host.ts'

const HANDSHAKE_TIMEOUT_MS = 5000
/** A batch may have thousands of names, and NGINX closes visitors' idle connections before it runs out of its own (`worker_connections`). */
const HANDSHAKES_AT_ONCE = 32

/** The first of these names that is not shown the certificate with its fingerprint, in words; `undefined` where each one is. */
export async function verifyServedCertificates(
  host: Host,
  secured: ReadonlyMap<string, string>,
): Promise<string | undefined> {
  const waiting = secured.entries()
  let fault: string | undefined
  const proveNames = async (): Promise<void> => {
    for (const [name, fingerprint] of waiting) {
      const found = await faultOf(host, name, fingerprint)
      fault ??= found
      if (fault !== undefined) return
    }
  }
  await Promise.all(Array.from({ length: HANDSHAKES_AT_ONCE }, proveNames))
  return fault
}

async function faultOf({ probe, settings }: Host, name: string, fingerprint: string): Promise<string | undefined> {
  const handshake = await probe.handshake({
    address: '127.0.0.1',
    port: settings.NGINX_HTTPS_PORT,
    serverName: name,
    timeoutMs: HANDSHAKE_TIMEOUT_MS,
  })
  if ('failure' in handshake) return `${name}: no handshake (${handshake.failure})`
  return handshake.fingerprint === fingerprint ? undefined : `${name}: another certificate is shown`
}
