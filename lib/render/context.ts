/** The host's facts that rendered directives depend on, above all NGINX's version. */
import type { ModuleName } from '../nginx/config/build.ts'
import type { Directive } from '../nginx/config/print.ts'
import { isAtLeast, type Version } from '../nginx/config/version.ts'

/** The host's facts that rendering depends on. */
export interface RenderContext {
  /** `[major, minor, patch]`; `http2` and `ssl_reject_handshake` depend on it. */
  readonly nginxVersion: Version
  /** NGINX's OpenSSL, `[major, minor]`; `nginx -t` fails on groups that it does not know. */
  readonly opensslVersion: readonly [number, number]
  readonly httpPort: number
  readonly httpsPort: number
  /** The ports at which clients reach the two, for what they are sent: different ones if they are mapped on the way in. */
  readonly publicHttpPort: number
  readonly publicHttpsPort: number
  /** Addresses and networks of the proxies in front of this host whose X-Forwarded headers are passed on. */
  readonly trustedProxies: readonly string[]
  /** The arguments of our `listen` directives for the HTTP and HTTPS ports: address and the protocols that the host has set for it, such as `[::]:80`. */
  readonly httpListens: readonly string[]
  readonly httpsListens: readonly string[]
  /** DNS servers for upstreams that NGINX looks up while it runs, as `resolver` takes them. */
  readonly resolvers: readonly string[]
  /** Directives that the host's `http` block sets, with their arguments: NGINX refuses a second one beside it, and routes inherit it. */
  readonly setByHost: ReadonlyMap<string, readonly string[]>
  /** Modules that this NGINX lacks: their directives are left out, or what needs them is refused ({@link unsupported}). */
  readonly missingModules: readonly ModuleName[]
  /** The directory from which the CA's challenges are served. */
  readonly webroot: string
  /** The directory of the checked certificate copies. */
  readonly certificates: string
  /** The CAs that the system trusts, as one file; missing if it has none. */
  readonly trustedCas?: string
}

/** Where systems have their CAs as one file: Debian and Alpine, Fedora, openSUSE, BSD. */
export const CA_FILES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
] as const
/** What the host contributes to a rendering, as text. */
export function contextKey(context: RenderContext): string {
  return JSON.stringify({ ...context, setByHost: [...context.setByHost].sort() })
}

/** A server block: `listen` and `server_name` first. */
export function server(
  listens: readonly Directive[],
  names: readonly string[],
  directives: readonly Directive[],
): Directive {
  return ['server', [], [...listens, ['server_name', [...names]], ...directives]]
}

/** The `listen` directives for HTTP. */
export function httpListens(own: readonly string[], options: readonly string[] = []): Directive[] {
  return own.map((listen): Directive => ['listen', [...listen.split(' '), ...options]])
}

/**
 * The `listen` directives for HTTPS. HTTP/2 is a parameter of `listen` before NGINX 1.25.1, and a directive since. From NGINX 1.23.4 on, a block
 * that adds it to a socket of the host is warned of.
 */
export function httpsListens(
  context: RenderContext,
  own: readonly string[],
  options: readonly string[] = [],
): Directive[] {
  const { nginxVersion: version } = context
  return own.map((listen): Directive => {
    const [address = '', ...protocols] = listen.split(' ')
    const isBound = isAtLeast(version, [1, 23, 4]) && protocols.includes('ssl')
    const flags = isBound || isAtLeast(version, [1, 25, 1]) ? ['ssl'] : ['ssl', 'http2']
    return ['listen', [address, ...new Set([...flags, ...protocols]), ...options]]
  })
}

/** The `http2` directive, if this NGINX has it. */
export function http2(context: RenderContext): Directive[] {
  return isAtLeast(context.nginxVersion, [1, 25, 1]) ? [['http2', ['on']]] : []
}

/** What NGINX needs to look names up: in the shared file, or in each location if the host's `http` block has a resolver of its own. */
export function resolverDirectives({ resolvers, setByHost }: RenderContext): Directive[] {
  const directives: Directive[] = [
    ['resolver', [...resolvers, 'valid=30s']],
    ['resolver_timeout', ['5s']],
  ]
  return resolvers.length === 0 ? [] : directives.filter(([name]) => !setByHost.has(name))
}

/** Without it, a server block inherits the passwords of the host's `http` block. */
export const AUTH_BASIC_OFF: Directive = ['auth_basic', ['off']]

/** Whether this NGINX has a module. */
export function hasModule({ missingModules }: Pick<RenderContext, 'missingModules'>, name: ModuleName): boolean {
  return !missingModules.includes(name)
}
