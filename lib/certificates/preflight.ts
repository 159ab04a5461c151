/** Before the CA is asked: would its questions be answered? Its limits are small, and a look from here costs nothing. */
import type { CaaRecord } from '../adapters/network.ts'
import type { Host } from '../host/host.ts'
import { resolverAddress } from '../net/dns-server.ts'
import type { Settings } from '../settings/settings.ts'

export interface PreflightCheck {
  readonly check: 'dns' | 'challenge' | 'caa'
  readonly domain: string
  readonly ok: boolean
  readonly detail: string
}

const LOOKUP_TIMEOUT_MS = 5000
const CHALLENGE_TIMEOUT_MS = 3000

/**
 * Looks, for each name, whether it resolves, whether a file under the challenge path comes back from each of its addresses, and whether CAA
 * allows the CA.
 */
export async function runPreflight(host: Host, names: readonly string[]): Promise<PreflightCheck[]> {
  return (await Promise.all(names.map((name) => checkName(host, name)))).flat()
}

async function checkName(host: Host, domain: string): Promise<PreflightCheck[]> {
  const servers = host.settings.DNS_SERVERS.map(resolverAddress)
  const [addresses, caa] = await Promise.all([
    servers.length > 0
      ? host.network.query(domain, servers, LOOKUP_TIMEOUT_MS)
      : host.network.lookup(domain, LOOKUP_TIMEOUT_MS),
    checkCaa(host, domain, servers),
  ])
  if (addresses.length === 0) return [{ check: 'dns', domain, ok: false, detail: `${domain} does not resolve` }, caa]
  const resolved: PreflightCheck = {
    check: 'dns',
    domain,
    ok: true,
    detail: `${domain} resolves to ${addresses.join(', ')}`,
  }
  return [resolved, ...(await checkChallenge(host, domain, addresses)), caa]
}

async function checkChallenge(host: Host, domain: string, addresses: readonly string[]): Promise<PreflightCheck[]> {
  const token = `proxy-manager-${host.clock.randomId()}`
  const { webroot } = host.paths
  const folder = `${webroot}/.well-known/acme-challenge`
  const file = `${folder}/${token}`
  try {
    await host.files.makeFolder(`${webroot}/.well-known`, 0o755)
    await host.files.makeFolder(folder, 0o755)
    await host.files.writeUnsynced(file, token, 0o644)
    return await Promise.all(
      addresses.map(async (address): Promise<PreflightCheck> => {
        const path = `/.well-known/acme-challenge/${token}`
        const answer = await host.probe.get({
          address,
          port: host.settings.NGINX_HTTP_PORT,
          host: domain,
          path,
          timeoutMs: CHALLENGE_TIMEOUT_MS,
        })
        const isOurs = 'status' in answer && answer.status === 200 && answer.body === token
        const said =
          'failure' in answer ? answer.failure : isOurs ? 'came back' : `answered ${answer.status} with something else`
        return {
          check: 'challenge',
          domain,
          ok: isOurs,
          detail: `a file under the challenge path, asked for at ${address}: ${said}`,
        }
      }),
    )
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : 'UNKNOWN'
    return [{ check: 'challenge', domain, ok: false, detail: `the webroot cannot be written (${code})` }]
  } finally {
    await host.files.remove(file).catch(() => undefined)
  }
}

/** The closest name upwards that has CAA records decides (RFC 8659, 3). Whom a CA other than Let's Encrypt goes by there is not known here. */
async function checkCaa(host: Host, domain: string, servers: readonly string[]): Promise<PreflightCheck> {
  const labels = domain.split('.')
  for (let i = 0; i < labels.length - 1; i++) {
    const name = labels.slice(i).join('.')
    const records = await host.network.caaRecords(name, servers, LOOKUP_TIMEOUT_MS)
    if (records === undefined)
      return {
        check: 'caa',
        domain,
        ok: false,
        detail: `the CAA records of ${name} cannot be asked for: a CA refuses then`,
      }
    if (records.length === 0) continue
    const { ok, whom } = allowedBy(records, caaIdentity(host.settings))
    return { check: 'caa', domain, ok, detail: `the CAA records of ${name} allow ${whom}` }
  }
  return { check: 'caa', domain, ok: true, detail: 'no CAA records' }
}

/** Whom CAA records let issue, and whether the CA of this name is among them. Without an `issue` they hold nobody back (RFC 8659, 4.2). */
function allowedBy(records: readonly CaaRecord[], identity: string | undefined) {
  const issues = records.filter(({ tag }) => tag === 'issue')
  if (issues.length === 0) return { ok: true, whom: 'any CA' }
  const names = issues.map(({ value }) => value.replace(/;.*/s, '').trim().toLowerCase()).filter((name) => name !== '')
  const ok = identity === undefined ? names.length > 0 : names.includes(identity)
  return { ok, whom: names.join(', ') || 'no CA' }
}

function caaIdentity({ ACME_DIRECTORY_URL: url }: Settings): string | undefined {
  return url === undefined || new URL(url).hostname.endsWith('.letsencrypt.org') ? 'letsencrypt.org' : undefined
}
