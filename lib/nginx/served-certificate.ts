/** Verifies certificates as a client would: by a TLS handshake with NGINX for each name. */
import type { Host } from '../host/host.ts'
import { type Endpoint, endpointsOf, type ListensOf } from './endpoints.ts'

const HANDSHAKE_TIMEOUT_MS = 5000
/** Limited, since a batch may have thousands of names: short of `worker_connections`, NGINX would close its clients' idle connections. */
const HANDSHAKES_AT_ONCE = 32

/**
 * Checks that NGINX presents for each name the certificate with this SHA-256 fingerprint, at every address that we listen on. Returns the first
 * mismatch as a sentence, if any.
 */
export async function verifyServedCertificates(
  host: Pick<Host, 'network' | 'probe'>,
  { httpsListens }: Pick<ListensOf, 'httpsListens'>,
  secured: ReadonlyMap<string, string>,
): Promise<string | undefined> {
  const endpoints = endpointsOf(host, httpsListens)
  const waiting = secured.entries()
  let fault: string | undefined
  const proveNames = async (): Promise<void> => {
    for (const [name, fingerprint] of waiting) {
      for (const endpoint of endpoints) {
        const found = await faultOf(host, endpoint, name, fingerprint)
        fault ??= found
        if (fault !== undefined) return
      }
    }
  }
  await Promise.all(Array.from({ length: HANDSHAKES_AT_ONCE }, proveNames))
  return fault
}

async function faultOf(
  { probe }: Pick<Host, 'probe'>,
  endpoint: Endpoint,
  name: string,
  fingerprint: string,
): Promise<string | undefined> {
  const handshake = await probe.handshake({ ...endpoint, serverName: name, timeoutMs: HANDSHAKE_TIMEOUT_MS })
  if ('failure' in handshake) return `${name}: no handshake (${handshake.failure})`
  return handshake.fingerprint === fingerprint ? undefined : `${name}: another certificate is presented`
}
