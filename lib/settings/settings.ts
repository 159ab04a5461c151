/** The environment as a schema: every variable with its rule, its default and the words that `--help` and the README use. */
import { isResolver } from '../net/dns-server.ts'
import {
  boolean,
  choice,
  integer,
  list,
  optionalHttpsUrl,
  optionalPath,
  optionalUrl,
  path,
  text,
  token,
  type Variable,
} from './variable-types.ts'

/** Where others reach the API, without a slash at its end. */
export function publicUrl({ PROXY_MANAGER_PUBLIC_URL, PROXY_MANAGER_HOST, PROXY_MANAGER_PORT }: Settings): string {
  const host = PROXY_MANAGER_HOST.includes(':') ? `[${PROXY_MANAGER_HOST}]` : PROXY_MANAGER_HOST
  return PROXY_MANAGER_PUBLIC_URL?.replace(/\/+$/, '') ?? `http://${host}:${PROXY_MANAGER_PORT}`
}

/** Whether callers must show who they are. */
export function wantsCredentials({ PROXY_MANAGER_API_TOKEN, AUTH_REGISTRY_JWT }: Settings): boolean {
  return PROXY_MANAGER_API_TOKEN !== undefined || AUTH_REGISTRY_JWT
}

/** Handed to certbot as an argument: it starts with a letter or digit, so it never reads as an option. At most 254 characters (RFC 5321). */
export const EMAIL =
  /^(?=.{3,254}$)(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._%+-]*@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+$/

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/

export const VARIABLES = {
  PROXY_MANAGER_PORT: integer('Port of the API', 1, 65535, 8100),
  PROXY_MANAGER_HOST: text(
    'Address of the API; beyond loopback only with a token, AUTH_REGISTRY_JWT, or PROXY_MANAGER_INSECURE',
    '127.0.0.1',
    'an IP address or host name',
    /^[A-Za-z0-9.:-]+$/,
  ),
  PROXY_MANAGER_INSECURE: boolean('Listen beyond loopback without a token, and take any Host (behind a VPN)'),
  PROXY_MANAGER_ALLOWED_HOSTS: list(
    'Names that may stand in Host when no token is set; loopback names and addresses always may',
    (name) => /^[A-Za-z0-9.-]+$/.test(name),
    'host names, comma-separated',
  ),
  PROXY_MANAGER_API_TOKEN: token(
    'When set, every call but the health checks needs "Authorization: Bearer ..." or X-API-Token; or its file, as PROXY_MANAGER_API_TOKEN_FILE',
  ),
  PROXY_MANAGER_READ_TOKEN: token(
    'Another token, which only reads; or its file, as PROXY_MANAGER_READ_TOKEN_FILE; needs PROXY_MANAGER_API_TOKEN, or AUTH_REGISTRY_JWT, as well',
  ),
  AUTH_REGISTRY_JWT: boolean(
    'Take JWTs that the Registry has signed (RS256) as "Authorization: Bearer ..." beside the token; needs REGISTRY_URL',
  ),
  PROXY_MANAGER_STATE_DIR: path(
    'Journal, staging, last reload, backups, certificates, ACME webroot',
    '/var/lib/proxy-manager',
  ),
  NGINX_SITES_AVAILABLE: path('One file per route, and the shared file', '/etc/nginx/sites-available'),
  NGINX_SITES_ENABLED: path('Symlinks to them', '/etc/nginx/sites-enabled'),
  NGINX_BIN: path('The NGINX binary', '/usr/sbin/nginx'),
  NGINX_CONF: optionalPath(
    "NGINX's main configuration; given to every NGINX call as -c when set",
    'found with nginx -V',
  ),
  NGINX_HTTP_PORT: integer('Port that HTTP server blocks listen on', 1, 65535, 80),
  NGINX_HTTPS_PORT: integer('Port that HTTPS server blocks listen on', 1, 65535, 443),
  CERTBOT_BIN: path('The certbot binary', '/usr/bin/certbot'),
  CERTBOT_CONFIG_DIR: path("certbot's configuration folder, with its lineages", '/etc/letsencrypt'),
  CERTBOT_WORK_DIR: optionalPath("certbot's working folder; passed on when set", "certbot's own"),
  CERTBOT_LOGS_DIR: optionalPath("certbot's log folder; passed on when set", "certbot's own"),
  ACME_DIRECTORY_URL: optionalHttpsUrl(
    'Directory of another ACME CA: staging, an in-house one, a test one',
    "certbot's own: Let's Encrypt",
  ),
  ACME_WEBROOT: optionalPath("Folder under which the CA's challenges are served", 'acme in the state folder'),
  DEFAULT_SSL_EMAIL: text(
    'Contact that the CA is given where a call names none; set your own',
    'admin@fullpotential.ai',
    'an e-mail address',
    EMAIL,
  ),
  SSL_AUTO_ISSUE: boolean('Get certificates in the background for routes that want HTTPS and have none'),
  SSL_PREFLIGHT: choice(
    'Before the CA is asked, is the challenge path reachable under the domain: refuse, report, or do not look',
    ['strict', 'warn', 'off'],
    'warn',
  ),
  // More than 2^31 - 1 ms no timer waits: it would fire at once.
  SSL_RENEW_INTERVAL_HOURS: integer(
    'Look this often for certificates to renew; 0 leaves it to the timer of certbot',
    0,
    596,
    0,
  ),
  DNS_SERVERS: list(
    'Resolvers for upstream names and for the preflight; those of the system where not set',
    isResolver,
    'addresses, comma-separated, each with a port or without',
  ),
  REGISTRY_URL: optionalUrl('Where the Registry is; its droplets are at /droplets below it', 'none'),
  REGISTRY_SYNC_INTERVAL_S: integer(
    'Bring routes in line with the Registry this often, in seconds; 0 leaves it to callers; needs REGISTRY_URL',
    0,
    86400,
    0,
  ),
  REGISTRY_REGISTER: boolean('Register with the Registry at the start: a POST to /droplets; needs REGISTRY_URL'),
  REGISTRY_TOKEN: token(
    'Sent to the Registry as "Authorization: Bearer ...", for a sync, a look at whether it is there, the registration and its key; or its file, as REGISTRY_TOKEN_FILE; needs REGISTRY_URL',
    4096,
  ),
  ORCHESTRATOR_URL: optionalUrl(
    'Where the Orchestrator is; a heartbeat goes to /heartbeat below it every minute',
    'none',
  ),
  PROXY_MANAGER_PUBLIC_URL: optionalUrl(
    'Where others reach this API, as Registry and Orchestrator are told',
    'http://<PROXY_MANAGER_HOST>:<PROXY_MANAGER_PORT>',
  ),
  HEALTH_CHECK_TIMEOUT_MS: integer(
    'How long an upstream may take to answer its health check, in milliseconds',
    1,
    60000,
    1000,
  ),
  HEALTH_CHECK_PATH: text('Path of the health check', '/health', 'a path that begins with "/"', /^\/[\x21-\x7e]*$/),
  SERVICE_NAME: text(
    'Name of this service in the mesh',
    'proxy-manager',
    'a name of letters, digits, ".", "_" and "-"',
    NAME,
  ),
  DROPLET_ID: text(
    'Identity of this droplet in the mesh',
    'proxy-manager',
    'a name of letters, digits, ".", "_" and "-"',
    NAME,
  ),
  ENVIRONMENT: text(
    'Where this droplet runs, as the mesh calls it',
    'production',
    'a name of letters, digits, ".", "_" and "-"',
    NAME,
  ),
  LOG_LEVEL: choice('Least severe lines that are logged', ['debug', 'info', 'warn', 'error'], 'info'),
} as const satisfies Record<string, Variable<unknown>>

type Name = keyof typeof VARIABLES

/** The settings, typed, under the names of their variables. */
export type Settings = { readonly [K in Name]: (typeof VARIABLES)[K]['unset'] }

/** One line per variable: its name, its default, what it is. */
export function describeSettings(): readonly {
  readonly name: string
  readonly fallback: string
  readonly help: string
}[] {
  return Object.entries(VARIABLES).map(([name, { fallback, help }]) => ({ name, fallback, help }))
}
