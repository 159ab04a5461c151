/** Checks before an order, whether the CA's validation would succeed: its limits are small, and a check from here costs nothing. */
import type { CaaRecord } from '../adapters/network.ts'
import type { Host } from '../host/host.ts'
import { resolverAddress } from '../net/dns-server.ts'
import { publicPorts, type Settings } from '../settings/settings.ts'
import { CHALLENGE_PATH, webrootFault } from './webroot.ts'

export interface PreflightCheck {
  readonly check: 'dns' | 'challenge' | 'caa'
  readonly domain: string
  readonly ok: boolean
  readonly detail: string
  /** Of a check that failed: the CA would certainly fail too, wherever it stands. The rest may look different from outside, as behind NAT. */
  readonly certain?: true
}

/** What a preflight uses of the host. */
export type PreflightHost = Pick<Host, 'settings' | 'paths' | 'files' | 'clock' | 'network' | 'probe'>

const LOOKUP_TIMEOUT_MS = 5000
const CHALLENGE_TIMEOUT_MS = 3000
/** For why a name does not resolve: it has just been looked up in vain. */
const DENIAL_TIMEOUT_MS = 1500
/** Answers of DNS that are the same for everybody, by Node's code for them. */
const DENIALS: ReadonlyMap<string, string> = new Map([
  ['ENOTFOUND', 'NXDOMAIN'],
  ['ENODATA', 'no A or AAAA record'],
  ['ESERVFAIL', 'SERVFAIL'],
])

/**
 * Checks for each name whether it resolves, whether a file under the challenge path is served at each of its addresses, and whether CAA allows
 * the CA.
 */
export async function runPreflight(host: PreflightHost, names: readonly string[]): Promise<PreflightCheck[]> {
  return (await Promise.all(names.map((name) => checkName(host, name)))).flat()
}

async function checkName(host: PreflightHost, domain: string): Promise<PreflightCheck[]> {
  const servers = host.settings.DNS_SERVERS.map(resolverAddress)
  const [addresses, caa] = await Promise.all([
    servers.length > 0
      ? host.network.query(domain, servers, LOOKUP_TIMEOUT_MS)
      : host.network.lookup(domain, LOOKUP_TIMEOUT_MS),
    checkCaa(host, domain, servers),
  ])
  if (addresses.length === 0) return [await unresolved(host, domain, servers), caa]
  const resolved: PreflightCheck = {
    check: 'dns',
    domain,
    ok: true,
    detail: `${domain} resolves to ${addresses.join(', ')}`,
  }
  return [resolved, ...(await checkChallenge(host, domain, addresses)), caa]
}

/** A name without an address: an answer of DNS is certain, no answer in time is not. */
async function unresolved(host: PreflightHost, domain: string, servers: readonly string[]): Promise<PreflightCheck> {
  const codes = await host.network.noAddress(domain, servers, DENIAL_TIMEOUT_MS)
  const denials = codes.flatMap((code) => DENIALS.get(code) ?? [])
  const failed = { check: 'dns', domain, ok: false, detail: `${domain} does not resolve` } as const
  const isCertain = codes.length > 0 && denials.length === codes.length
  return isCertain ? { ...failed, detail: `${failed.detail}: ${denials[0]}`, certain: true } : failed
}

async function checkChallenge(
  host: PreflightHost,
  domain: string,
  addresses: readonly string[],
): Promise<PreflightCheck[]> {
  const token = `proxy-manager-${host.clock.randomId()}`
  const { webroot } = host.paths
  const file = `${CHALLENGE_PATH}/${token}`
  try {
    const fault = webrootFault(host)
    if (fault !== undefined) return [{ check: 'challenge', domain, ok: false, detail: fault }]
    await host.files.makeFolderBelow(webroot, CHALLENGE_PATH)
    await host.files.writeBelow(webroot, file, token, 0o644)
    return await Promise.all(
      addresses.map(async (address): Promise<PreflightCheck> => {
        const answer = await host.probe.get({
          address,
          port: publicPorts(host.settings).publicHttpPort,
          host: domain,
          path: `/${file}`,
          timeoutMs: CHALLENGE_TIMEOUT_MS,
        })
        const isOurs = 'status' in answer && answer.status === 200 && answer.body === token
        const result =
          'failure' in answer ? answer.failure : isOurs ? 'served' : `status ${answer.status} with another content`
        return {
          check: 'challenge',
          domain,
          ok: isOurs,
          detail: `a file under the challenge path, requested at ${address}: ${result}`,
        }
      }),
    )
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : 'UNKNOWN'
    return [{ check: 'challenge', domain, ok: false, detail: `the webroot cannot be written (${code})` }]
  } finally {
    await host.files.removeBelow(webroot, file).catch(() => undefined)
  }
}

/** The closest parent with CAA records decides (RFC 8659, 3). The name of a CA other than Let's Encrypt in such records is not known here. */
async function checkCaa(host: PreflightHost, domain: string, servers: readonly string[]): Promise<PreflightCheck> {
  const labels = domain.split('.')
  for (let i = 0; i < labels.length - 1; i++) {
    const name = labels.slice(i).join('.')
    const records = await host.network.caaRecords(name, servers, LOOKUP_TIMEOUT_MS)
    if (records === undefined)
      return {
        check: 'caa',
        domain,
        ok: false,
        detail: `the CAA records of ${name} cannot be queried: a CA rejects the order then`,
      }
    if (records.length === 0) continue
    const { ok, allowed } = allowedBy(records, caaIdentity(host.settings))
    const found = { check: 'caa', domain, ok, detail: `the CAA records of ${name} allow ${allowed}` } as const
    return ok ? found : { ...found, certain: true }
  }
  return { check: 'caa', domain, ok: true, detail: 'no CAA records' }
}

/** Which CAs the records allow to issue, and whether this one is among them. Without an `issue` property, any CA may (RFC 8659, 4.2). */
function allowedBy(records: readonly CaaRecord[], identity: string | undefined) {
  const issues = records.filter(({ tag }) => tag === 'issue')
  if (issues.length === 0) return { ok: true, allowed: 'any CA' }
  const names = issues.map(({ value }) => value.replace(/;.*/s, '').trim().toLowerCase()).filter((name) => name !== '')
  const ok = identity === undefined ? names.length > 0 : names.includes(identity)
  return { ok, allowed: names.join(', ') || 'no CA' }
}

function caaIdentity({ ACME_DIRECTORY_URL: url }: Settings): string | undefined {
  return url === undefined || new URL(url).hostname.endsWith('.letsencrypt.org') ? 'letsencrypt.org' : undefined
}
