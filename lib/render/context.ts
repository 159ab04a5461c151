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
  /** The arguments of our `listen` directives for the HTTP and HTTPS ports: address and the protocols that the host has set for it, such as `[::]:80`. */
  readonly httpListens: readonly string[]
  readonly httpsListens: readonly string[]
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
