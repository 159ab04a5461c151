/** The host's facts that rendered directives depend on, above all NGINX's version. */
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
  /** `listen` addresses of the HTTP and HTTPS ports, without options, such as `80` and `[::]:80`. */
  readonly httpListens: readonly string[]
  readonly httpsListens: readonly string[]
  /** DNS servers for upstreams that NGINX looks up while it runs, as `resolver` takes them. */
  readonly resolvers: readonly string[]
  /** Names of directives that the host's `http` block sets: NGINX refuses a second one beside it. */
  readonly setByHost: ReadonlySet<string>
  /** NGINX was built with ngx_http_stub_status_module. */
  readonly hasStubStatus?: boolean
  /** The directory from which the CA's challenges are served. */
  readonly webroot: string
  /** The directory of the checked certificate copies. */
  readonly certificates: string
}

/** A server block: `listen` and `server_name` first. */
export function server(
  listens: readonly Directive[],
  names: readonly string[],
  directives: readonly Directive[],
): Directive {
  return ['server', [], [...listens, ['server_name', [...names]], ...directives]]
}

/** The `listen` directives for HTTPS. HTTP/2 is a parameter of `listen` before NGINX 1.25.1, and a directive since. */
export function httpsListens(
  context: RenderContext,
  addresses: readonly string[],
  options: readonly string[] = [],
): Directive[] {
  const flags = isAtLeast(context.nginxVersion, [1, 25, 1]) ? ['ssl'] : ['ssl', 'http2']
  return addresses.map((address): Directive => ['listen', [address, ...flags, ...options]])
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
