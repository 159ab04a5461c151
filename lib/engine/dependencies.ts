/** What this service needs of others, and whether it has it: looked at in the background, never while a caller waits. */
import type { Host } from './host.ts'

export type DependencyStatus = 'available' | 'unavailable' | 'not_configured' | 'unknown'

export interface Dependency {
  readonly name: 'nginx' | 'certbot' | 'registry' | 'orchestrator' | 'acme_ca'
  readonly required: boolean
  readonly status: DependencyStatus
  /** ISO 8601; null where it has not been looked at yet. */
  readonly checked_at: string | null
}

const FRESH_MS = 60_000
const TIMEOUT_MS = 3000
const LIMIT_BYTES = 4 * 1024 * 1024
const LETS_ENCRYPT = 'https://acme-v02.api.letsencrypt.org/directory'

/** Reads what is known; what is older than a minute is looked at anew for the next caller. */
export function dependencyReader(host: Host): () => readonly Dependency[] {
  const known = new Map<Dependency['name'], Dependency>()
  let checkedAtMs: number | undefined
  let checking: Promise<void> | undefined

  const note = (name: Dependency['name'], required: boolean, status: DependencyStatus) => {
    const checked_at = status === 'unknown' ? null : new Date(host.clock.nowMs()).toISOString()
    known.set(name, { name, required, status, checked_at })
  }
  const isAnswering = async (url: string): Promise<DependencyStatus> => {
    const answer = await host.probe.download({ url, timeoutMs: TIMEOUT_MS, limitBytes: LIMIT_BYTES })
    if ('status' in answer) return answer.status < 500 ? 'available' : 'unavailable'
    // Someone answers whom this process does not trust: certbot may, through REQUESTS_CA_BUNDLE.
    return /CERT|SIGNATURE/.test(answer.failure) ? 'available' : 'unavailable'
  }
  const check = async (): Promise<void> => {
    const { REGISTRY_URL, ORCHESTRATOR_URL, ACME_DIRECTORY_URL, NGINX_BIN, CERTBOT_BIN } = host.settings
    note('nginx', true, host.files.stamp(NGINX_BIN) === undefined ? 'unavailable' : 'available')
    note('certbot', false, host.files.stamp(CERTBOT_BIN) === undefined ? 'unavailable' : 'available')
    const below = (base: string, path: string) => isAnswering(`${base.replace(/\/+$/, '')}${path}`)
    const [registry, orchestrator, ca] = await Promise.all([
      REGISTRY_URL === undefined ? ('not_configured' as const) : below(REGISTRY_URL, '/droplets'),
      ORCHESTRATOR_URL === undefined ? undefined : below(ORCHESTRATOR_URL, '/health'),
      isAnswering(ACME_DIRECTORY_URL ?? LETS_ENCRYPT),
    ])
    note('registry', false, registry)
    if (orchestrator !== undefined) note('orchestrator', false, orchestrator)
    note('acme_ca', false, ca)
  }
  const orchestrators = host.settings.ORCHESTRATOR_URL === undefined ? [] : (['orchestrator'] as const)
  for (const name of ['nginx', 'certbot', 'registry', ...orchestrators, 'acme_ca'] as const)
    note(name, name === 'nginx', 'unknown')

  return () => {
    const nowMs = host.clock.monotonicMs()
    if (checking === undefined && (checkedAtMs === undefined || nowMs - checkedAtMs > FRESH_MS)) {
      checkedAtMs = nowMs
      checking = check().finally(() => {
        checking = undefined
      })
    }
    return [...known.values()]
  }
}
