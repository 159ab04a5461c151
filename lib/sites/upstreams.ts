/** Where a `proxy_pass` of a site leads, in the fields of a route. */
import type { Findings } from './findings.ts'
import type { Located } from './site-files.ts'

/** The fields of a body that name the upstream, and what NGINX's `$proxy_host` is. */
export interface Destination {
  readonly fields: Readonly<Record<string, unknown>>
  readonly options: Readonly<Record<string, unknown>>
  readonly proxyHost: string
  readonly isTls: boolean
  /** The path in the URL; `undefined` if it has none, and the request's own is passed. */
  readonly uri: string | undefined
}

/** Reads a `proxy_pass`; `upstreams` are the upstream blocks of the site by name. `undefined` if it was refused. */
export function readDestination(
  pass: Located,
  upstreams: ReadonlyMap<string, Located>,
  findings: Findings,
): Destination | undefined {
  const url = /^(https?):\/\/((\[[^\]]+\]|[^/:]+)(?::(\d+))?)(\/.*)?$/.exec(withoutRequestUri(pass.args[0] ?? ''))
  const [, scheme = '', authority = '', host = '', port, uri] = url ?? []
  if (url === null || /[$?#]/.test(authority + (uri ?? ''))) {
    findings.refuse(pass, 'only http:// or https:// with a host and a port can be an upstream')
    return undefined
  }
  const isTls = scheme === 'https'
  const common = { proxyHost: authority, isTls, uri }
  const block = upstreams.get(authority)
  if (block !== undefined) {
    const servers = readServers(block, findings)
    return servers === undefined ? undefined : { ...common, ...fieldsOf(servers, scheme, block, findings) }
  }
  const fields = { upstream: `${scheme}://${host}:${port ?? (isTls ? 443 : 80)}` }
  return { ...common, fields, options: {} }
}

/** With variables in it, a `proxy_pass` passes only the path that it names: this is the request's own. */
function withoutRequestUri(url: string): string {
  return url.replace(/\$request_uri$/, '')
}

interface Server {
  readonly address: string
  readonly isBackup: boolean
}

const IGNORED_IN_UPSTREAM = ['keepalive', 'keepalive_timeout', 'keepalive_requests', 'keepalive_time', 'zone']

function readServers(block: Located, { refuse }: Findings): readonly Server[] | undefined {
  let isRefused = false
  const refused = (directive: Located, text: string) => {
    isRefused = true
    refuse(directive, text)
  }
  const servers: Server[] = []
  const listed = (block.block ?? []).filter(({ name }) => name === 'server')
  for (const directive of block.block ?? []) {
    const { name, args } = directive
    if (IGNORED_IN_UPSTREAM.includes(name) || name === 'least_conn') continue
    const [address = '', ...parameters] = args
    if (name !== 'server') refused(directive, 'routes choose their upstreams in turn, or by least_conn')
    else if (address.startsWith('unix:')) refused(directive, 'a route has no UNIX socket as its upstream')
    else {
      const unknown = parameters.find(
        (one) => !/^(weight=1|backup|resolve|max_conns=0)$|^(max_fails|fail_timeout)=/.test(one),
      )
      if (unknown !== undefined && (listed.length > 1 || unknown === 'down'))
        refused(directive, `${unknown} has no option`)
      servers.push({ address, isBackup: parameters.includes('backup') })
    }
  }
  if (servers.length === 0) refused(block, 'it has no server')
  return isRefused ? undefined : servers
}

function fieldsOf(
  servers: readonly Server[],
  scheme: string,
  block: Located,
  { differs }: Findings,
): Pick<Destination, 'fields' | 'options'> {
  const places = servers.map(({ address, isBackup }) => {
    const [, host = '', port] = /^(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(address) ?? []
    return { host, port: Number(port ?? 80), ...(isBackup ? { backup: true } : {}) }
  })
  const [first] = places
  if (places.length === 1) return { fields: { upstream: `${scheme}://${first?.host}:${first?.port}` }, options: {} }
  differs(block, 'an upstream that has failed 3 times within 10 s is left out for 10 s')
  const isLeast = (block.block ?? []).some(({ name }) => name === 'least_conn')
  return {
    fields: { upstreams: places },
    options: {
      ...(scheme === 'https' ? { upstream_scheme: scheme } : {}),
      ...(isLeast ? { balance: 'least_conn' } : {}),
    },
  }
}
