/** Every environment variable with its schema, its default and the text that `serve --help` prints. */
import * as v from 'valibot'
import { isResolver } from '../net/dns-server.ts'
import {
  baseUrl,
  choice,
  flag,
  httpsUrl,
  httpUrl,
  integer,
  list,
  networks,
  optional,
  path,
  text,
  token,
  variable,
} from './schemas.ts'

/** Passed to certbot as an argument: it starts with a letter or digit, so certbot never reads it as an option. At most 254 characters (RFC 5321). */
export const EMAIL =
  /^(?=.{3,254}$)(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._%+-]*@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+$/

const port = integer(1, 65535)
const meshName = text(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'a name of letters, digits, ".", "_" and "-"')

export const VARIABLES = {
  PROXY_MANAGER_PORT: variable(port, 'Port of the API', '8100'),
  PROXY_MANAGER_HOST: variable(
    text(/^[A-Za-z0-9.:-]+$/, 'an IP address or host name'),
    'Listen address of the API; beyond loopback only with a token, AUTH_REGISTRY_JWT or PROXY_MANAGER_INSECURE',
    '127.0.0.1',
  ),
  PROXY_MANAGER_INSECURE: flag('Listen beyond loopback without a token and accept any Host header (behind a VPN)'),
  PROXY_MANAGER_ALLOWED_HOSTS: variable(
    list((name) => /^[A-Za-z0-9.-]+$/.test(name), 'host names, comma-separated'),
    'Names accepted in the Host header if no token is set; loopback names and addresses always are',
    '',
  ),
  PROXY_MANAGER_API_TOKEN: optional(
    token(512),
    'Required of every call except the health checks, as "Authorization: Bearer ..." or X-API-Token; PROXY_MANAGER_API_TOKEN_FILE names a file with it',
  ),
  PROXY_MANAGER_READ_TOKEN: optional(
    token(512),
    'Another token, for reading only; PROXY_MANAGER_READ_TOKEN_FILE names a file with it; requires another token for everything, or AUTH_REGISTRY_JWT',
  ),
  PROXY_MANAGER_API_TOKENS_FILE: optional(
    path,
    'File with further tokens, one name:grant:token a line (grant: all or read), for events to name the caller; read again when it changes',
    'none',
  ),
  AUTH_REGISTRY_JWT: flag(
    'Accept JWTs that the Registry has signed (RS256) besides the token; requires REGISTRY_URL or AUTH_JWT_KEY_URL',
  ),
  AUTH_JWT_KEY_URL: optional(
    httpUrl,
    'URL of the public key that JWTs are verified with; requires AUTH_REGISTRY_JWT',
    "the Registry's /auth/public-key, /auth/public_key or /.well-known/jwks.json",
  ),
  AUTH_JWT_AUDIENCE: optional(
    list((name) => /^[\x21-\x7e]+$/.test(name), 'names without spaces, comma-separated'),
    'What "aud" of a JWT may name, comma-separated; requires AUTH_REGISTRY_JWT',
    'SERVICE_NAME, DROPLET_ID, udc, fullpotential.droplets',
  ),
  AUTH_JWT_ISSUER: optional(
    text(/^[\x21-\x7e]+$/, 'a name or URL without spaces'),
    'What "iss" of a JWT must be; requires AUTH_REGISTRY_JWT',
    'anyone',
  ),
  PROXY_MANAGER_UI: flag('Serve the page for people at /ui/', 'true'),
  PROXY_MANAGER_STATE_DIR: variable(
    path,
    'Directory for journal, staging, last reload, backups, certificates and the ACME webroot',
    '/var/lib/proxy-manager',
  ),
  NGINX_SITES_AVAILABLE: variable(path, 'Directory for the files of the routes', '/etc/nginx/sites-available'),
  NGINX_SITES_ENABLED: variable(path, 'Directory for the symlinks to them', '/etc/nginx/sites-enabled'),
  NGINX_BIN: variable(path, 'The NGINX binary', '/usr/sbin/nginx'),
  NGINX_CONF: optional(path, "NGINX's main configuration file; passed to NGINX as -c if set", 'found with nginx -V'),
  NGINX_HTTP_PORT: variable(port, 'Port on which HTTP server blocks listen', '80'),
  NGINX_HTTPS_PORT: variable(port, 'Port on which HTTPS server blocks listen', '443'),
  NGINX_PUBLIC_HTTP_PORT: optional(
    port,
    'Port at which clients reach NGINX_HTTP_PORT, if it is mapped on the way in',
    'NGINX_HTTP_PORT',
  ),
  NGINX_PUBLIC_HTTPS_PORT: optional(
    port,
    'Port at which clients reach NGINX_HTTPS_PORT, if it is mapped on the way in',
    'NGINX_HTTPS_PORT',
  ),
  TRUSTED_PROXIES: variable(
    networks,
    'Addresses and networks of the proxies in front of this host whose X-Forwarded-For, -Proto, -Host and -Port are passed on',
    '',
  ),
  CERTBOT_BIN: variable(path, 'The certbot binary', '/usr/bin/certbot'),
  CERTBOT_CONFIG_DIR: variable(path, "certbot's configuration directory, with its lineages", '/etc/letsencrypt'),
  CERTBOT_WORK_DIR: optional(path, "certbot's work directory; passed to certbot if set", "certbot's own"),
  CERTBOT_LOGS_DIR: optional(path, "certbot's log directory; passed to certbot if set", "certbot's own"),
  ACME_DIRECTORY_URL: optional(
    httpsUrl,
    'ACME directory of another CA: staging, in-house or for tests',
    "certbot's own: Let's Encrypt",
  ),
  ACME_PROFILE: optional(
    text(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'the name of a profile: letters, digits, ".", "_" and "-"'),
    "Profile of the CA's to order certificates with, such as shortlived; requires certbot 4.0",
    "the CA's own",
  ),
  ACME_EAB_KID: optional(
    text(/^[\w.~:/+=@-]{1,512}$/, 'a key identifier of printable characters without quotes and spaces'),
    'Key identifier of the external account that the CA requires; requires ACME_EAB_HMAC_KEY_FILE',
    'none',
  ),
  ACME_EAB_HMAC_KEY_FILE: optional(path, 'File with its HMAC key (base64url), which only its owner can read', 'none'),
  ACME_WEBROOT: optional(path, "Directory from which the CA's challenges are served", 'acme in the state directory'),
  DEFAULT_SSL_EMAIL: variable(
    text(EMAIL, 'an e-mail address'),
    'Contact address for the CA if a call names none; set your own',
    'admin@fullpotential.ai',
  ),
  SSL_AUTO_ISSUE: flag('Obtain certificates in the background for routes that want HTTPS and have none'),
  SSL_PREFLIGHT: variable(
    choice('strict', 'certain', 'warn', 'off'),
    'Check DNS, the challenge path and CAA before an order: strict refuses it if a check fails, certain if it would fail at the CA too, warn reports it, off skips the checks',
    'certain',
  ),
  SSL_FAILURES_PER_HOUR: variable(integer(1, 1000), 'Orders for a name that may fail within an hour', '3'),
  SSL_CERTIFICATES_PER_WEEK: variable(
    integer(1, 1000),
    'Certificates for a name that may be ordered within 7 days, or within the lifetime of a certificate that lives shorter',
    '3',
  ),
  // 596 hours are the longest that a timer can wait (2^31 - 1 ms).
  SSL_RENEW_INTERVAL_HOURS: variable(
    integer(0, 596),
    "How often to renew the certificates that are due, in hours; 0 leaves that to certbot's timer",
    '0',
  ),
  DNS_SERVERS: variable(
    list(isResolver, 'IP addresses, comma-separated, each with or without a port'),
    "Resolvers for upstream names and for the preflight; the system's if not set",
    '',
  ),
  REGISTRY_URL: optional(baseUrl, 'URL of the Registry; its droplets are at /droplets below it', 'none'),
  REGISTRY_SYNC_INTERVAL_S: variable(
    integer(0, 86400),
    'How often to sync with the Registry, in seconds; 0 leaves it to callers; requires REGISTRY_URL',
    '0',
  ),
  REGISTRY_REGISTER: flag('Register with the Registry at start, with a POST to /droplets; requires REGISTRY_URL'),
  REGISTRY_TOKEN: optional(
    token(4096),
    'Sent to the Registry as "Authorization: Bearer ..."; REGISTRY_TOKEN_FILE names a file with it; requires REGISTRY_URL',
  ),
  ORCHESTRATOR_URL: optional(baseUrl, 'URL of the Orchestrator; every minute, /heartbeat below it is called', 'none'),
  HEARTBEAT_URL: optional(
    baseUrl,
    'Where heartbeats are posted, as a whole URL, if not to /heartbeat below ORCHESTRATOR_URL',
    '<ORCHESTRATOR_URL>/heartbeat',
  ),
  HEARTBEAT_TOKEN: optional(
    token(4096),
    'Sent with heartbeats as "Authorization: Bearer ..."; HEARTBEAT_TOKEN_FILE names a file with it; requires HEARTBEAT_URL or ORCHESTRATOR_URL',
  ),
  EVENTS_URL: optional(
    httpUrl,
    'URL to which each event is posted as a message of the mesh; https, or on this host',
    'none',
  ),
  EVENTS_TOKEN: optional(
    token(4096),
    'Sent with them as "Authorization: Bearer ..."; EVENTS_TOKEN_FILE names a file with it; requires EVENTS_URL',
  ),
  PROXY_MANAGER_PUBLIC_URL: optional(
    baseUrl,
    'URL at which others reach this API, as announced to Registry and Orchestrator',
    'http://<PROXY_MANAGER_HOST>:<PROXY_MANAGER_PORT>',
  ),
  HEALTH_CHECK_TIMEOUT_MS: variable(integer(1, 60000), 'Timeout of the health check of an upstream, in ms', '1000'),
  HEALTH_CHECK_INTERVAL_S: variable(
    integer(0, 86400),
    'How often the upstream of each route is checked, in seconds; 0 is never',
    '15',
  ),
  HEALTH_CHECK_PATH: variable(
    text(/^\/[\x21-\x7e]*$/, 'a path that starts with "/"'),
    'Path of the health check of an upstream',
    '/health',
  ),
  SERVICE_NAME: variable(meshName, 'Name of this service in the mesh', 'proxy-manager'),
  DROPLET_ID: variable(meshName, 'Identity of this droplet in the mesh', 'proxy-manager'),
  ENVIRONMENT: variable(meshName, 'Environment of this droplet, as reported to the mesh', 'production'),
  LOG_LEVEL: variable(
    choice('debug', 'info', 'warn', 'error'),
    'Least severe level that is logged: debug, info, warn, error',
    'info',
  ),
}

/** The settings, typed, under the names of their variables. */
export type Settings = Readonly<{ [K in keyof typeof VARIABLES]: v.InferOutput<(typeof VARIABLES)[K]> }>

/** Where heartbeats are posted; `undefined` if nowhere. */
export function heartbeatUrl({ HEARTBEAT_URL, ORCHESTRATOR_URL }: Settings): string | undefined {
  return HEARTBEAT_URL ?? (ORCHESTRATOR_URL && `${ORCHESTRATOR_URL}/heartbeat`)
}

/** The URL at which others reach the API, without a slash at its end. */
export function publicUrl({ PROXY_MANAGER_PUBLIC_URL, PROXY_MANAGER_HOST, PROXY_MANAGER_PORT }: Settings): string {
  const host = PROXY_MANAGER_HOST.includes(':') ? `[${PROXY_MANAGER_HOST}]` : PROXY_MANAGER_HOST
  return PROXY_MANAGER_PUBLIC_URL ?? `http://${host}:${PROXY_MANAGER_PORT}`
}

/** The ports at which clients reach NGINX. */
export function publicPorts(settings: Settings): { readonly publicHttpPort: number; readonly publicHttpsPort: number } {
  return {
    publicHttpPort: settings.NGINX_PUBLIC_HTTP_PORT ?? settings.NGINX_HTTP_PORT,
    publicHttpsPort: settings.NGINX_PUBLIC_HTTPS_PORT ?? settings.NGINX_HTTPS_PORT,
  }
}

/** Whether callers must authenticate. */
export function wantsCredentials(settings: Settings): boolean {
  const { PROXY_MANAGER_API_TOKEN, PROXY_MANAGER_API_TOKENS_FILE, AUTH_REGISTRY_JWT } = settings
  return PROXY_MANAGER_API_TOKEN !== undefined || PROXY_MANAGER_API_TOKENS_FILE !== undefined || AUTH_REGISTRY_JWT
}

/** One entry per variable: its name, its default in words ('' if there is none), and what it is. */
export function describeSettings(): readonly {
  readonly name: string
  readonly defaultText: string
  readonly help: string
}[] {
  return Object.entries(VARIABLES).map(([name, schema]) => ({
    name,
    defaultText: v.getMetadata(schema).defaultText,
    help: v.getDescription(schema) ?? '',
  }))
}
