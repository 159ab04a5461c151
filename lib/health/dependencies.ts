/** What this service depends on, and whether it is available: this host at each call, others in the background, so that no caller waits for them. */
import type { ChangeContext } from '../change/context.ts'
import type { Host } from '../host/host.ts'
import { singleFlight } from '../host/single-flight.ts'
import { fetchDroplets } from '../mesh/registry-client.ts'

export type DependencyStatus = 'available' | 'unavailable' | 'not_configured' | 'unknown'

export interface Dependency {
  readonly name: 'nginx' | 'certbot' | 'registry' | 'orchestrator' | 'acme_ca'
  readonly required: boolean
  readonly status: DependencyStatus
  /** ISO 8601; null if it is unknown. */
  readonly checked_at: string | null
}

const FRESH_MS = 60_000
const TIMEOUT_MS = 3000
const LIMIT_BYTES = 4 * 1024 * 1024
const LETS_ENCRYPT = 'https://acme-v02.api.letsencrypt.org/directory'

/** Makes a reader. Of other services it has the last results; if those are older than a minute, it starts a new check for the next caller. */
export function dependencyReader(context: ChangeContext): () => Promise<readonly Dependency[]> {
  const { host } = context
  const { REGISTRY_URL, ORCHESTRATOR_URL, ACME_DIRECTORY_URL, CERTBOT_BIN } = host.settings
  const checks = new Map<Dependency['name'], () => Promise<DependencyStatus>>()
  if (REGISTRY_URL !== undefined) checks.set('registry', () => checkRegistry(host))
  if (ORCHESTRATOR_URL !== undefined) checks.set('orchestrator', () => checkUrl(host, `${ORCHESTRATOR_URL}/health`))
  checks.set('acme_ca', () => checkUrl(host, ACME_DIRECTORY_URL ?? LETS_ENCRYPT))

  const found = (name: Dependency['name'], status: DependencyStatus): Dependency => {
    const checked_at = status === 'unknown' ? null : new Date(host.clock.nowMs()).toISOString()
    return { name, required: name === 'nginx', status, checked_at }
  }
  const known = new Map([...checks.keys()].map((name) => [name, found(name, 'unknown')]))
  const check = async (): Promise<void> => {
    await Promise.all([...checks].map(async ([name, checkOne]) => known.set(name, found(name, await checkOne()))))
  }
  let checkedAtMs: number | undefined
  const checking = singleFlight<void>()
  return async () => {
    const nginx = await checkNginx(context)
    const nowMs = host.clock.monotonicMs()
    if (checking.running() === undefined && (checkedAtMs === undefined || nowMs - checkedAtMs > FRESH_MS)) {
      checkedAtMs = nowMs
      void checking.run(check)
    }
    return [
      found('nginx', nginx),
      found('certbot', isPresent(host, CERTBOT_BIN)),
      ...(checks.has('registry') ? [] : [found('registry', 'not_configured')]),
      ...known.values(),
    ]
  }
}

/** `unknown` if it cannot be read whether there is such a file. */
function isPresent({ files }: Host, path: string): DependencyStatus {
  try {
    return foundIf(files.stamp(path) !== undefined)
  } catch {
    return 'unknown'
  }
}

/** A binary without a running master serves nothing; `unknown` if the host cannot be read. */
async function checkNginx(context: ChangeContext): Promise<DependencyStatus> {
  try {
    const observation = await context.observe([])
    const master = observation.nginx.findMaster()
    return foundIf(observation.facts.present && master !== undefined)
  } catch {
    return 'unknown'
  }
}

/** Available if a sync would get its list; not if it rejects the token, or serves no such list. */
async function checkRegistry(host: Host): Promise<DependencyStatus> {
  try {
    await fetchDroplets(host)
    return 'available'
  } catch {
    return 'unavailable'
  }
}

async function checkUrl({ http }: Pick<Host, 'http'>, url: string): Promise<DependencyStatus> {
  const answer = await http.request({ url, timeoutMs: TIMEOUT_MS, limitBytes: LIMIT_BYTES })
  if ('status' in answer) return foundIf(answer.status < 500)
  // It answers with a certificate that this process does not trust; certbot may trust it, through REQUESTS_CA_BUNDLE.
  return foundIf(/CERT|SIGNATURE/.test(answer.failure))
}

function foundIf(isThere: boolean): DependencyStatus {
  return isThere ? 'available' : 'unavailable'
}
