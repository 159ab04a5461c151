/** What this service needs of others, and whether it has it: looked at in the background, never while a caller waits. */
import type { ChangeContext } from '../change/context.ts'
import type { Host } from '../host/host.ts'
import { singleFlight } from '../host/single-flight.ts'
import { fetchDroplets } from '../mesh/registry-client.ts'

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

type Found = Exclude<DependencyStatus, 'unknown'>

/** Reads what is known; what is older than a minute is looked at anew for the next caller. */
export function dependencyReader(context: ChangeContext): () => readonly Dependency[] {
  const { host } = context
  const { REGISTRY_URL, ORCHESTRATOR_URL, ACME_DIRECTORY_URL, CERTBOT_BIN } = host.settings
  const looks = new Map<Dependency['name'], () => Found | Promise<Found>>([
    ['nginx', () => lookAtNginx(context)],
    ['certbot', () => foundIf(host.files.stamp(CERTBOT_BIN) !== undefined)],
    ['registry', () => (REGISTRY_URL === undefined ? 'not_configured' : lookAtRegistry(host))],
  ])
  if (ORCHESTRATOR_URL !== undefined) looks.set('orchestrator', () => lookAt(host, `${ORCHESTRATOR_URL}/health`))
  looks.set('acme_ca', () => lookAt(host, ACME_DIRECTORY_URL ?? LETS_ENCRYPT))

  const known = new Map<Dependency['name'], Dependency>()
  const note = (name: Dependency['name'], status: DependencyStatus) => {
    const checked_at = status === 'unknown' ? null : new Date(host.clock.nowMs()).toISOString()
    known.set(name, { name, required: name === 'nginx', status, checked_at })
  }
  for (const name of looks.keys()) note(name, 'unknown')

  const check = async (): Promise<void> => {
    const pending = [...looks].map(async ([name, look]) => {
      const found = look()
      // What can be told at once is there for the caller that started the look.
      note(name, typeof found === 'string' ? found : await found)
    })
    await Promise.all(pending)
  }
  let checkedAtMs: number | undefined
  const checking = singleFlight<void>()
  return () => {
    const nowMs = host.clock.monotonicMs()
    if (checking.running() === undefined && (checkedAtMs === undefined || nowMs - checkedAtMs > FRESH_MS)) {
      checkedAtMs = nowMs
      void checking.run(check)
    }
    return [...known.values()]
  }
}

/** A binary without a master serves nothing. */
async function lookAtNginx(context: ChangeContext): Promise<Found> {
  try {
    const observation = await context.observe([])
    const master = observation.nginx.findMaster()
    return foundIf(observation.facts.present && master !== undefined)
  } catch {
    return 'unavailable'
  }
}

/** It is of use where a sync would get its list; one that refuses the token, or has no such list, is not. */
async function lookAtRegistry(host: Host): Promise<Found> {
  try {
    await fetchDroplets(host)
    return 'available'
  } catch {
    return 'unavailable'
  }
}

async function lookAt(host: Host, url: string): Promise<Found> {
  const answer = await host.http.request({ url, timeoutMs: TIMEOUT_MS, limitBytes: LIMIT_BYTES })
  if ('status' in answer) return foundIf(answer.status < 500)
  // Someone answers whom this process does not trust: certbot may, through REQUESTS_CA_BUNDLE.
  return foundIf(/CERT|SIGNATURE/.test(answer.failure))
}

function foundIf(isThere: boolean): Found {
  return isThere ? 'available' : 'unavailable'
}
