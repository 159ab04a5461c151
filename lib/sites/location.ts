/** A location of a site as a route: its path, its upstream and its options. */
import { effective, judgeDirective, listOf } from './directives.ts'
import type { Findings } from './findings.ts'
import type { Scheme } from './redirect.ts'
import { headerOptions } from './request-headers.ts'
import type { Located } from './site-files.ts'
import { type Destination, readDestination } from './upstreams.ts'
import { secondsOption, toBytes, toSize } from './values.ts'

/** What is proxied below a path. */
export interface Mount {
  readonly path: string
  readonly fields: Readonly<Record<string, unknown>>
  readonly options: Readonly<Record<string, unknown>>
  /** What it says about Strict-Transport-Security. */
  readonly hsts: boolean
}

export interface SiteFacts {
  /** The directives of the `http` block. */
  readonly http: readonly Located[]
  /** The upstream blocks of the site, by name. */
  readonly upstreams: ReadonlyMap<string, Located>
  /** Variables that a `map` of `$http_upgrade` defines. */
  readonly upgradeVariables: ReadonlySet<string>
}

interface LocationFacts extends SiteFacts {
  readonly server: readonly Located[]
  readonly serverName: string
  readonly scheme: Scheme
}

/** Directives that {@link readMount} reads itself. */
const READ = new Set([
  'proxy_pass',
  'proxy_set_header',
  'proxy_redirect',
  'proxy_buffering',
  'proxy_buffer_size',
  'proxy_connect_timeout',
  'proxy_read_timeout',
  'proxy_send_timeout',
  'client_max_body_size',
  'allow',
  'deny',
  'add_header',
])

/** Those of them that may be in the server block, for all of its locations. */
export const READ_FROM_SERVER: ReadonlySet<string> = new Set([...READ].filter((name) => name !== 'proxy_pass'))

/** Reads a location that proxies; `undefined` if it was refused. */
export function readMount(
  location: Located,
  prefix: string,
  facts: LocationFacts,
  findings: Findings,
): Mount | undefined {
  const own = location.block ?? []
  const levels = [own, facts.server, facts.http]
  for (const directive of own) {
    if (directive.name === 'location' || directive.name === 'if' || directive.name === 'limit_except')
      findings.refuse(directive, 'a route has no such block')
    else if (!READ.has(directive.name)) judgeDirective(directive, facts.http, findings)
  }
  const pass = own.findLast(({ name }) => name === 'proxy_pass')
  if (pass === undefined) {
    findings.refuse(location, 'it serves no upstream, and a route serves no files')
    return undefined
  }
  const destination = readDestination(pass, facts.upstreams, findings)
  if (destination === undefined) return undefined
  const stripped = stripOf(pass, prefix, destination, findings)
  const isAddress = !facts.upstreams.has(destination.proxyHost)
  const headers = headerOptions(
    listOf('proxy_set_header', levels),
    { ...facts, proxyHost: destination.proxyHost, isAddress },
    findings,
  )
  judgeRedirects(pass, levels, findings)
  if (destination.isTls && effective('proxy_ssl_server_name', levels)?.args[0] !== 'on')
    findings.differs(pass, 'the upstream is sent its name in the TLS handshake (SNI)')
  return {
    path: prefix === '/' ? '/' : prefix.replace(/\/+$/, ''),
    fields: destination.fields,
    options: {
      ...destination.options,
      ...headers,
      ...stripped,
      ...numbers(levels, findings),
      ...access(levels, findings),
    },
    hsts: readHsts(levels, findings),
  }
}

/** Response headers: Strict-Transport-Security is an option; a route inherits those of the http block and has no others. */
export function readHsts(levels: readonly (readonly Located[])[], findings: Findings): boolean {
  const headers = listOf('add_header', levels.slice(0, -1))
  for (const directive of headers) {
    const [header = '', value = ''] = directive.args
    if (header.toLowerCase() !== 'strict-transport-security') judgeDirective(directive, [], findings)
    else if (value !== 'max-age=63072000') findings.differs(directive, 'becomes max-age=63072000')
  }
  return headers.some(({ args }) => args[0]?.toLowerCase() === 'strict-transport-security')
}

/** The path that the upstream sees. */
function stripOf(pass: Located, prefix: string, { uri }: Destination, { differs, refuse }: Findings) {
  if (uri === undefined) return {}
  if (uri === prefix) differs(pass, 'the path is passed as the client has sent it, not decoded')
  else if (uri === '/' && prefix.endsWith('/')) return { strip_prefix: true }
  else refuse(pass, 'the upstream sees another path: only the whole prefix can be stripped')
  return {}
}

/** Times and sizes, with NGINX's own defaults if nothing sets them (nginx.org, ngx_http_proxy_module). */
function numbers(levels: readonly (readonly Located[])[], findings: Findings): Readonly<Record<string, unknown>> {
  const find = (name: string) => effective(name, levels)
  const send = find('proxy_send_timeout')
  if (send !== undefined && !['60s', '60', '1m'].includes(send.args.join(' '))) findings.differs(send, 'becomes 60 s')
  const headerBytes = toBytes(find('proxy_buffer_size')?.args[0] ?? '') ?? 0
  return {
    max_body_size: bodySize(find('client_max_body_size'), findings),
    connect_timeout_s: secondsOption(find('proxy_connect_timeout'), 60, [1, 300], findings),
    read_timeout_s: secondsOption(find('proxy_read_timeout'), 60, [1, 86_400], findings),
    buffering: find('proxy_buffering')?.args[0] !== 'off',
    ...(headerBytes > 16 * 1024 ? { header_buffer_size: toSize(headerBytes) } : {}),
  }
}

function bodySize(directive: Located | undefined, { differs, refuse }: Findings): string {
  const bytes = directive === undefined ? 1024 ** 2 : toBytes(directive.args[0] ?? '')
  if (directive !== undefined && bytes === undefined) refuse(directive, 'is no size')
  if (bytes === 0) return '0'
  const size = toSize(bytes ?? 1024 ** 2)
  if (directive !== undefined && toBytes(size) !== bytes) differs(directive, `becomes ${size}`)
  return size
}

/** `allow` and `deny` in their order: networks that are allowed, and everybody else denied. */
function access(levels: readonly (readonly Located[])[], { refuse }: Findings): Readonly<Record<string, unknown>> {
  // What the http block says applies to routes, too.
  const rules = listOf(/^(allow|deny)$/, levels.slice(0, 2))
  const effectiveRules = rules.slice(0, rules.findIndex(({ args }) => args[0] === 'all') + 1 || undefined)
  const last = effectiveRules.at(-1)
  if (last === undefined || (effectiveRules.length === 1 && last.name === 'allow' && last.args[0] === 'all')) return {}
  const allowed = effectiveRules.slice(0, -1)
  const isList =
    last.name === 'deny' &&
    last.args[0] === 'all' &&
    allowed.length > 0 &&
    allowed.every(({ name }) => name === 'allow')
  if (!isList) {
    refuse(last, 'only networks that are allowed, and "deny all" after them, have an option')
    return {}
  }
  return { allow: allowed.map(({ args }) => args[0]) }
}

/** By default, NGINX rewrites a `Location` that names the upstream's own address. */
function judgeRedirects(pass: Located, levels: readonly (readonly Located[])[], { differs, refuse }: Findings): void {
  const [redirect] = listOf('proxy_redirect', levels)
  const [first = 'default'] = redirect?.args ?? []
  if (first === 'default')
    differs(redirect ?? pass, "a Location that names the upstream's own address is passed unchanged")
  else if (first !== 'off' && redirect !== undefined) refuse(redirect, 'a route passes every Location unchanged')
}
