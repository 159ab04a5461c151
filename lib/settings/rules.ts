/** Rules across settings that are valid by themselves. */
import { isLoopbackHost } from '../net/address.ts'
import { heartbeatUrl, publicPorts, type Settings, wantsCredentials } from './settings.ts'
import { parseNamedTokens, type ReadFile } from './token-file.ts'

/** One sentence per fault: the variable, and what it expects. */
export function crossFieldFaults(settings: Settings): readonly string[] {
  const rules = [
    unprotectedListener,
    readTokenAlone,
    missingRegistryUrl,
    jwtSettingsAlone,
    missingPublicUrl,
    uselessHeartbeatToken,
    sameSitesDirectory,
    sameNginxPort,
    halfAnExternalAccount,
    samePublicPort,
    eventsElsewhere,
  ]
  return rules.flatMap((findFaults) => findFaults(settings) ?? [])
}

function unprotectedListener(settings: Settings): string | undefined {
  const { PROXY_MANAGER_HOST: host, PROXY_MANAGER_INSECURE } = settings
  if (isLoopbackHost(host) || wantsCredentials(settings) || PROXY_MANAGER_INSECURE) return undefined
  return `PROXY_MANAGER_HOST: expected a loopback address unless PROXY_MANAGER_API_TOKEN, PROXY_MANAGER_API_TOKENS_FILE or AUTH_REGISTRY_JWT is set (or PROXY_MANAGER_INSECURE=true, behind a VPN), got ${JSON.stringify(host)}`
}

function readTokenAlone(settings: Settings): string | undefined {
  if (settings.PROXY_MANAGER_READ_TOKEN === undefined || wantsCredentials(settings)) return undefined
  return 'PROXY_MANAGER_READ_TOKEN: requires PROXY_MANAGER_API_TOKEN, PROXY_MANAGER_API_TOKENS_FILE or AUTH_REGISTRY_JWT too, otherwise nobody could change anything'
}

/** Without the Registry, each of these would have no effect or fail again and again. */
const NEED_REGISTRY = ['AUTH_REGISTRY_JWT', 'REGISTRY_REGISTER', 'REGISTRY_SYNC_INTERVAL_S', 'REGISTRY_TOKEN'] as const

function missingRegistryUrl(settings: Settings): readonly string[] {
  const { REGISTRY_URL, AUTH_JWT_KEY_URL } = settings
  if (REGISTRY_URL !== undefined) return []
  const hasKey = (name: string) => name === 'AUTH_REGISTRY_JWT' && AUTH_JWT_KEY_URL !== undefined
  return NEED_REGISTRY.filter((name) => Boolean(settings[name]) && !hasKey(name)).map(
    (name) => `${name}: requires REGISTRY_URL too`,
  )
}

/** Whoever limits JWTs expects that callers need one. */
function jwtSettingsAlone(settings: Settings): readonly string[] {
  if (settings.AUTH_REGISTRY_JWT) return []
  const names = ['AUTH_JWT_KEY_URL', 'AUTH_JWT_AUDIENCE', 'AUTH_JWT_ISSUER'] as const
  return names
    .filter((name) => settings[name] !== undefined)
    .map((name) => `${name}: requires AUTH_REGISTRY_JWT=true too`)
}

/** Others cannot call an unspecified address such as 0.0.0.0. */
function missingPublicUrl(settings: Settings): string | undefined {
  const { PROXY_MANAGER_HOST: host, PROXY_MANAGER_PUBLIC_URL, REGISTRY_REGISTER } = settings
  const isAnnounced = REGISTRY_REGISTER || heartbeatUrl(settings) !== undefined
  if (!isAnnounced || PROXY_MANAGER_PUBLIC_URL !== undefined || !['0.0.0.0', '::'].includes(host)) return undefined
  return `PROXY_MANAGER_PUBLIC_URL: expected the URL at which others reach this API: REGISTRY_REGISTER, ORCHESTRATOR_URL and HEARTBEAT_URL announce it, and PROXY_MANAGER_HOST is ${JSON.stringify(host)}`
}

function uselessHeartbeatToken(settings: Settings): string | undefined {
  if (settings.HEARTBEAT_TOKEN === undefined || heartbeatUrl(settings) !== undefined) return undefined
  return 'HEARTBEAT_TOKEN: requires HEARTBEAT_URL or ORCHESTRATOR_URL too'
}

/** The symlink of a route would replace its own file. */
function sameSitesDirectory({ NGINX_SITES_AVAILABLE, NGINX_SITES_ENABLED: enabled }: Settings): string | undefined {
  if (enabled !== NGINX_SITES_AVAILABLE) return undefined
  return `NGINX_SITES_ENABLED: expected another directory than NGINX_SITES_AVAILABLE, got ${JSON.stringify(enabled)}`
}

function sameNginxPort({ NGINX_HTTP_PORT, NGINX_HTTPS_PORT: port }: Settings): string | undefined {
  if (port !== NGINX_HTTP_PORT) return undefined
  return `NGINX_HTTPS_PORT: expected another port than NGINX_HTTP_PORT, got ${port}`
}

function halfAnExternalAccount({ ACME_EAB_KID: kid, ACME_EAB_HMAC_KEY_FILE: file }: Settings): string | undefined {
  if ((kid === undefined) === (file === undefined)) return undefined
  return kid === undefined
    ? 'ACME_EAB_HMAC_KEY_FILE: requires ACME_EAB_KID too'
    : 'ACME_EAB_KID: requires ACME_EAB_HMAC_KEY_FILE too'
}

/** Why the file with the key of the external account cannot be used. The key is in no fault. */
export function keyFileFault({ ACME_EAB_HMAC_KEY_FILE: path }: Settings, read: ReadFile): readonly string[] {
  if (path === undefined) return []
  const file = read(path)
  const fault =
    'failure' in file
      ? `cannot be read (${file.failure})`
      : file.isPublic
        ? 'can be read by every user: chmod 600'
        : /^[\w-]+=*$/.test(file.text.trim())
          ? undefined
          : 'does not contain a key in base64url'
  return fault === undefined ? [] : [`ACME_EAB_HMAC_KEY_FILE: ${path} ${fault}`]
}

/** Events name routes and callers, and are sent with a token. */
function eventsElsewhere({ EVENTS_URL, EVENTS_TOKEN }: Settings): string | undefined {
  if (EVENTS_URL === undefined) return EVENTS_TOKEN === undefined ? undefined : 'EVENTS_TOKEN: requires EVENTS_URL too'
  const { protocol, hostname } = new URL(EVENTS_URL)
  const isSafe = protocol === 'https:' || isLoopbackHost(hostname.replace(/^\[|\]$/g, ''))
  return isSafe ? undefined : 'EVENTS_URL: expected an https URL, or one of a loopback address'
}

/** Why the file with named tokens cannot be used; no token is in it. */
export function tokensFileFault({ PROXY_MANAGER_API_TOKENS_FILE: path }: Settings, read: ReadFile): readonly string[] {
  if (path === undefined) return []
  const file = read(path)
  const tokens = 'failure' in file ? { fault: `cannot be read (${file.failure})` } : parseNamedTokens(file.text)
  return 'fault' in tokens ? [`PROXY_MANAGER_API_TOKENS_FILE: ${path} ${tokens.fault}`] : []
}

/** A redirect to HTTPS would lead to HTTP again. */
function samePublicPort(settings: Settings): string | undefined {
  const { publicHttpPort, publicHttpsPort: port } = publicPorts(settings)
  if (port !== publicHttpPort || sameNginxPort(settings) !== undefined) return undefined
  return `NGINX_PUBLIC_HTTPS_PORT: expected another port than NGINX_PUBLIC_HTTP_PORT, got ${port}`
}
