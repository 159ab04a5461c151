/** The headers that a site sends to its upstream, compared with those that a route sends. */
import { UNUSABLE_KEYS } from '../route/request-headers.ts'
import type { Findings } from './findings.ts'
import type { Scheme } from './redirect.ts'
import type { Located } from './site-files.ts'

/** What the headers depend on. */
export interface HeaderFacts {
  /** The scheme with which requests reach the route. */
  readonly scheme: Scheme
  readonly serverName: string
  /** NGINX's `$proxy_host`: host and port as `proxy_pass` has them, or the name of its upstream block. */
  readonly proxyHost: string
  /** Whether that is the address of the upstream itself. */
  readonly isAddress: boolean
  /** Variables that a `map` of `$http_upgrade` defines. */
  readonly upgradeVariables: ReadonlySet<string>
}

/** What a route sends by itself (lib/render/forwarded.ts), by header in lower case. */
const OURS: Readonly<Record<string, readonly string[]>> = {
  'x-real-ip': ['$remote_addr', '$realip_remote_addr'],
  'x-forwarded-for': ['$remote_addr'],
  'x-forwarded-proto': ['$scheme'],
  'x-forwarded-host': ['$host'],
  'x-forwarded-port': ['$server_port'],
  forwarded: [''],
  proxy: [''],
}

/** The options that come of the `proxy_set_header` directives of a location. */
export function headerOptions(
  directives: readonly Located[],
  facts: HeaderFacts,
  findings: Findings,
): Readonly<Record<string, unknown>> {
  const headers: Record<string, string | null> = {}
  let hostHeader = facts.isAddress ? 'upstream' : facts.proxyHost
  const upgrades = { upgrade: false, connection: false }
  for (const directive of directives) {
    const [header = '', value = ''] = directive.args
    const name = header.toLowerCase()
    if (name === 'host') hostHeader = hostOption(directive, value, facts, findings)
    else if (name === 'upgrade') upgrades.upgrade = isUpgrade(directive, value, facts, findings)
    else if (name === 'connection') upgrades.connection = isConnection(directive, value, facts, findings)
    else if (Object.hasOwn(OURS, name)) compare(directive, value, facts, findings)
    // No option sets these: what they say is in those that every route sends.
    else if (name.startsWith('x-forwarded-')) findings.differs(directive, 'is not sent')
    else if (UNUSABLE_KEYS.has(header)) findings.refuse(directive, 'a route has no header of this name')
    else Object.assign(headers, otherHeader(directive, header, value, facts, findings))
  }
  return {
    ...(upgrades.upgrade && upgrades.connection ? {} : { websocket: false }),
    ...(hostHeader === 'domain' ? {} : { upstream_host_header: hostHeader }),
    ...(Object.keys(headers).length === 0 ? {} : { request_headers: headers }),
  }
}

function hostOption(directive: Located, value: string, facts: HeaderFacts, { differs, refuse }: Findings): string {
  if (value === '$host') return 'domain'
  if (value === '$http_host' || /^\$(host|http_host):\$server_port$/.test(value)) {
    differs(directive, 'becomes the name in lower case, without a standard port')
    return 'domain'
  }
  if (value === '$proxy_host') return facts.isAddress ? 'upstream' : facts.proxyHost
  if (value === '$server_name') return facts.serverName
  if (/[$\s]/.test(value) || value === '')
    refuse(directive, 'only the name of the request, of the upstream or a fixed one can be sent')
  return value
}

function isUpgrade(directive: Located, value: string, facts: HeaderFacts, { refuse }: Findings): boolean {
  const isKnown = value === '$http_upgrade' || facts.upgradeVariables.has(value)
  if (!isKnown && value !== '' && value !== 'websocket') refuse(directive, 'only WebSocket upgrades are passed')
  return value !== ''
}

function isConnection(directive: Located, value: string, facts: HeaderFacts, { refuse }: Findings): boolean {
  const isKnown = /^(upgrade|\$http_connection)$/i.test(value) || facts.upgradeVariables.has(value)
  if (!isKnown && value !== '' && value !== 'close' && value !== 'keep-alive')
    refuse(directive, 'only WebSocket upgrades are passed')
  return isKnown
}

/** A header that a route sends, too. */
function compare(directive: Located, value: string, { scheme }: HeaderFacts, { differs }: Findings): void {
  const name = directive.args[0]?.toLowerCase() ?? ''
  const isSame = OURS[name]?.includes(value) === true || value === constantOf(OURS[name]?.[0] ?? '', scheme)
  if (isSame) return
  const ours = OURS[name]?.[0] ?? ''
  const text = ours === '' ? 'is not sent' : `becomes ${ours}`
  const why = name === 'x-forwarded-for' ? ': what a client claims itself is not passed on' : ''
  differs(directive, `${text}${why}`)
}

/** A header of the site's own: an option if its value is fixed. */
function otherHeader(
  directive: Located,
  header: string,
  value: string,
  { scheme }: HeaderFacts,
  { differs, refuse }: Findings,
): Readonly<Record<string, string | null>> {
  if (value === '' || !value.includes('$')) return { [header]: value === '' ? null : value }
  const constant = constantOf(value, scheme)
  if (constant === undefined) {
    refuse(directive, 'a route sends only headers with a fixed value')
    return {}
  }
  if (scheme === 'http') differs(directive, `becomes the fixed value ${constant}`)
  return { [header]: constant }
}

/** What a variable is for every request with one scheme. */
function constantOf(value: string, scheme: Scheme): string | undefined {
  if (value === '$scheme') return scheme
  if (value === '$server_port') return scheme === 'https' ? '443' : '80'
  return undefined
}
