/** What becomes of the directives that are no option of a route and no part of its structure. */
import { isDeepStrictEqual } from 'node:util'
import type { Findings } from './findings.ts'
import type { Located } from './site-files.ts'

/** Without effect on a request that is proxied or redirected, or the same in a route. */
const HARMLESS = new Set([
  'index',
  'root',
  'default_type',
  'sendfile',
  'tcp_nodelay',
  'tcp_nopush',
  'etag',
  'if_modified_since',
  'autoindex',
  'open_file_cache',
  'server_name_in_redirect',
  'port_in_redirect',
  'absolute_redirect',
  'proxy_http_version',
  'proxy_headers_hash_max_size',
  'proxy_headers_hash_bucket_size',
  'variables_hash_max_size',
  'http2',
  'ssl',
])

/** Of these a route has the value of the `http` block, or a value of its own, and answers the same otherwise. */
const TUNING = new Set([
  'access_log',
  'error_log',
  'log_not_found',
  'log_subrequest',
  'rewrite_log',
  'server_tokens',
  'charset',
  'keepalive_timeout',
  'keepalive_requests',
  'client_body_timeout',
  'client_header_timeout',
  'client_body_buffer_size',
  'client_header_buffer_size',
  'large_client_header_buffers',
  'send_timeout',
  'reset_timedout_connection',
  'lingering_close',
  'lingering_time',
  'lingering_timeout',
  'proxy_buffers',
  'proxy_busy_buffers_size',
  'proxy_temp_file_write_size',
  'proxy_max_temp_file_size',
  'proxy_request_buffering',
  'proxy_socket_keepalive',
  'proxy_ignore_client_abort',
  'proxy_next_upstream',
  'proxy_next_upstream_tries',
  'proxy_next_upstream_timeout',
  'proxy_ssl_session_reuse',
  'proxy_ssl_protocols',
  'proxy_ssl_ciphers',
  'limit_rate_after',
  'ignore_invalid_headers',
  'http2_max_concurrent_streams',
  'http2_push_preload',
])

/** Directives that change nothing with this argument; with another one there is no option for them. */
const OFF: Readonly<Record<string, string>> = {
  auth_basic: 'off',
  proxy_cache: 'off',
  proxy_intercept_errors: 'off',
  proxy_pass_request_headers: 'on',
  proxy_pass_request_body: 'on',
  proxy_ssl_verify: 'off',
  proxy_ssl_server_name: 'on',
  underscores_in_headers: 'off',
  merge_slashes: 'on',
  satisfy: 'all',
  expires: 'off',
  limit_rate: '0',
}

const COMPRESSION = /^(gzip|brotli)(_|$)/
/** A certificate of the client is asked for, or another one is presented: no option. */
const TLS_ACCESS = /^ssl_(verify_client|client_certificate|crl|reject_handshake|ocsp|verify_depth)$/

/** Notes what a route does otherwise with a directive of a server block or a location. */
export function judgeDirective(directive: Located, http: readonly Located[], findings: Findings): void {
  const inherited = http.findLast((one) => one.name === directive.name)
  if (inherited !== undefined && isDeepStrictEqual(inherited.args, directive.args)) return
  const difference = differenceOf(directive)
  if (isHarmless(directive, http)) return
  if (difference !== undefined) findings.differs(isTls(directive) ? tlsOf(directive) : directive, difference)
  else findings.refuse(directive, refusalOf(directive))
}

function isHarmless({ name, args }: Located, http: readonly Located[]): boolean {
  const isSet = (wanted: string) => http.some((one) => one.name === wanted)
  if (/^proxy_(cache_bypass|no_cache)$/.test(name)) return !isSet('proxy_cache')
  return HARMLESS.has(name) || (args.join(' ') === OFF[name] && !isSet(name))
}

function differenceOf(directive: Located): string | undefined {
  const { name, args } = directive
  if (COMPRESSION.test(name)) return 'responses are compressed as the http block says'
  if (TUNING.has(name)) return 'is not set by a route: the value of the http block or of Proxy Manager applies'
  if (isTls(directive)) return TLS_PROFILE
  return name === 'add_header' && args[0]?.toLowerCase() === 'x-served-by' ? 'is not sent' : undefined
}

function refusalOf({ name }: Located): string {
  if (name === 'include') return 'the included file cannot be read'
  return /^(alias|try_files|error_page)$/.test(name) ? 'a route serves no files' : 'a route has no option for it'
}

function isTls({ name }: Located): boolean {
  return name.startsWith('ssl_') && !TLS_ACCESS.test(name)
}

/** Everything about TLS is one difference, at the first directive of it. */
export function tlsOf(directive: Located): Located {
  return { ...directive, name: 'ssl', args: [] }
}

/** What a route does with TLS, whatever the site has set. */
export const TLS_PROFILE = 'TLS versions, ciphers and sessions become those of Proxy Manager'

/** The innermost value of a directive: `levels` are the directives of the location, of its server block and of `http`. */
export function effective(name: string, levels: readonly (readonly Located[])[]): Located | undefined {
  return levels.map((level) => level.findLast((one) => one.name === name)).find((found) => found !== undefined)
}

/** Directives that a level inherits only as a whole: those of the innermost level that has one. */
export function listOf(name: string | RegExp, levels: readonly (readonly Located[])[]): readonly Located[] {
  const isNamed = (one: Located) => (typeof name === 'string' ? one.name === name : name.test(one.name))
  return levels.map((level) => level.filter(isNamed)).find((found) => found.length > 0) ?? []
}
