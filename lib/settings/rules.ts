/** What holds between settings that are each right by themselves. */
import { isLoopbackHost } from '../net/address.ts'
import { type Settings, wantsCredentials } from './settings.ts'

/** Sentences that name the variable, and what it takes. */
export function faultsBetween(settings: Settings): readonly string[] {
  const rules = [exposure, loneReadToken, lackOfRegistry, untellableAddress, sameFolder, samePort]
  return rules.flatMap((faultIn) => faultIn(settings) ?? [])
}

function exposure(settings: Settings): string | undefined {
  const isOpen = !wantsCredentials(settings) && !settings.PROXY_MANAGER_INSECURE
  if (isLoopbackHost(settings.PROXY_MANAGER_HOST) || !isOpen) return undefined
  return `PROXY_MANAGER_HOST: got ${JSON.stringify(settings.PROXY_MANAGER_HOST)}, takes a loopback address unless PROXY_MANAGER_API_TOKEN or AUTH_REGISTRY_JWT is set (or PROXY_MANAGER_INSECURE=true, behind a VPN)`
}

function loneReadToken(settings: Settings): string | undefined {
  const isAlone = settings.PROXY_MANAGER_READ_TOKEN !== undefined && !wantsCredentials(settings)
  return isAlone
    ? 'PROXY_MANAGER_READ_TOKEN: takes PROXY_MANAGER_API_TOKEN or AUTH_REGISTRY_JWT as well, or nobody could change anything'
    : undefined
}

/** Each of these would do nothing, or fail again and again. */
const NEED_REGISTRY = ['AUTH_REGISTRY_JWT', 'REGISTRY_REGISTER', 'REGISTRY_SYNC_INTERVAL_S', 'REGISTRY_TOKEN'] as const

function lackOfRegistry(settings: Settings): readonly string[] {
  if (settings.REGISTRY_URL !== undefined) return []
  const names = NEED_REGISTRY.filter((name) => Boolean(settings[name]))
  return names.map((name) => `${name}: takes REGISTRY_URL as well, which says where the Registry is`)
}

/** An address that means every address of a host is none that others could call. */
function untellableAddress(settings: Settings): string | undefined {
  const { PROXY_MANAGER_HOST: host, PROXY_MANAGER_PUBLIC_URL, REGISTRY_REGISTER, ORCHESTRATOR_URL } = settings
  const isTold = REGISTRY_REGISTER || ORCHESTRATOR_URL !== undefined
  if (!isTold || PROXY_MANAGER_PUBLIC_URL !== undefined || !['0.0.0.0', '::'].includes(host)) return undefined
  return `PROXY_MANAGER_PUBLIC_URL: takes the URL that others reach this API at: REGISTRY_REGISTER and ORCHESTRATOR_URL tell it, and PROXY_MANAGER_HOST is ${JSON.stringify(host)}`
}

/** A route's symlink would take the place of its own file. */
function sameFolder({ NGINX_SITES_AVAILABLE, NGINX_SITES_ENABLED: enabled }: Settings): string | undefined {
  if (enabled !== NGINX_SITES_AVAILABLE) return undefined
  return `NGINX_SITES_ENABLED: got ${JSON.stringify(enabled)}, takes another folder than NGINX_SITES_AVAILABLE, into whose files its symlinks lead`
}

function samePort({ NGINX_HTTP_PORT, NGINX_HTTPS_PORT: port }: Settings): string | undefined {
  return port === NGINX_HTTP_PORT ? `NGINX_HTTPS_PORT: got ${port}, takes another port than NGINX_HTTP_PORT` : undefined
}
