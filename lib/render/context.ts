/** What rendering has to know of the host, and what depends on the version of NGINX. */
import type { Directive } from '../nginx/config/print.ts'
import { isAtLeast, type Version } from '../nginx/config/version.ts'

/** What rendering has to know of the host. */
export interface RenderContext {
  /** `[major, minor, patch]`; `http2` and `ssl_reject_handshake` depend on it. */
  readonly nginxVersion: Version
  /** The OpenSSL that NGINX runs with, `[major, minor]`; groups that it does not know fail the test. */
  readonly opensslVersion: readonly [number, number]
  readonly httpPort: number
  readonly httpsPort: number
  /** `listen` addresses of the HTTP and HTTPS ports, without options, such as `80` and `[::]:80`. */
  readonly httpListens: readonly string[]
  readonly httpsListens: readonly string[]
  /** NGINX was built with ngx_http_stub_status_module. */
  readonly hasStubStatus?: boolean
  /** The folder under which the CA's challenges are served. */
  readonly webroot: string
  /** The folder of the checked certificate copies. */
  readonly certificates: string
}

/** A server block: its listens and names first. */
export function server(
  listens: readonly Directive[],
  names: readonly string[],
  directives: readonly Directive[],
): Directive {
  return ['server', [], [...listens, ['server_name', [...names]], ...directives]]
}

/** HTTP/2 is a parameter of `listen` before NGINX 1.25.1, and a directive from there on. */
export function httpsListens(
  context: RenderContext,
  addresses: readonly string[],
  options: readonly string[] = [],
): Directive[] {
  const flags = isAtLeast(context.nginxVersion, [1, 25, 1]) ? ['ssl'] : ['ssl', 'http2']
  return addresses.map((address): Directive => ['listen', [address, ...flags, ...options]])
}

/** The directive, where it is one. */
export function http2(context: RenderContext): Directive[] {
  return isAtLeast(context.nginxVersion, [1, 25, 1]) ? [['http2', ['on']]] : []
}
