/** The verdict about a site: whether routes can serve what it serves, and with which differences. */
import * as v from 'valibot'
import { DropletName } from '../route/droplet-name.ts'
import { PutProxyBody } from '../route/spec.ts'
import { TLS_PROFILE, tlsOf } from './directives.ts'
import { type Finding, type Findings, findings } from './findings.ts'
import type { Scheme } from './redirect.ts'
import { type RouteFacts, routesOf, type SiteRoute } from './routes.ts'
import { readServer } from './server.ts'
import type { HostSites, Located, SiteFile } from './site-files.ts'

export type Verdict = 'adoptable' | 'adoptable_with_differences' | 'refused'

export interface JudgedServer {
  readonly file: string
  readonly line: number
  readonly names: readonly string[]
  /** As the file has them. */
  readonly listens: readonly string[]
}

/** A file of the host, and what would become of it. */
export interface JudgedSite {
  readonly site: SiteFile
  readonly verdict: Verdict
  readonly servers: readonly JudgedServer[]
  /** Empty if it is refused. */
  readonly routes: readonly SiteRoute[]
  readonly differences: readonly Finding[]
  readonly refusals: readonly Finding[]
}

export interface JudgeFacts extends RouteFacts {
  readonly ports: Readonly<Record<Scheme, number>>
  /** The droplet name of a file that has the name of a route file, such as `fpai-app.conf`. */
  readonly dropletOf: (site: SiteFile) => string | undefined
}

/** Judges one file of the host; `names` are droplet names by domain, with the path after it if that is not `/`. */
export function judgeSite(
  site: SiteFile,
  host: HostSites,
  facts: JudgeFacts,
  names: Readonly<Record<string, string>> = {},
): JudgedSite {
  const found = findings()
  const others = host.files.filter((file) => file !== site).flatMap(({ directives }) => directives)
  const outside = [...host.http, ...others]
  const blocks = site.directives.filter(({ name }) => name === 'server')
  const upstreams = blocksOf('upstream', [...site.directives, ...outside])
  const maps = [...site.directives, ...outside].filter(
    ({ name, args }) => name === 'map' && args[0] === '$http_upgrade',
  )
  const upgradeVariables = new Set(maps.flatMap(({ args }) => args[1] ?? []))
  judgeFile(site, outside, found)
  const servers = blocks.map((block) =>
    readServer(block, { http: host.http, upstreams, upgradeVariables, ports: facts.ports }, found),
  )
  for (const server of servers) {
    judgeNames(server, outside, facts.ports, found)
    if (server.schemes.includes('https')) found.differs(tlsOf(server.at), TLS_PROFILE)
  }
  const routes = named(routesOf(servers, facts, found), facts.dropletOf(site), names)
  judgeRoutes(routes, servers[0]?.at, found)
  const { differences, refusals } = found
  const isRefused = refusals.length > 0
  return {
    site,
    verdict: isRefused ? 'refused' : differences.length > 0 ? 'adoptable_with_differences' : 'adoptable',
    servers: servers.map(({ at, names }) => ({ file: site.name, line: at.line, names, listens: listensOf(at) })),
    routes: isRefused ? [] : routes,
    differences,
    refusals,
  }
}

/** The domain of a route, with its path if that is not `/`. */
export function placeOf({ body: { domain, path = '' } }: SiteRoute): string {
  return `${domain}${path}`
}

/** The routes with the names that were chosen for them; the first has the one that its file is named after. */
function named(
  routes: readonly SiteRoute[],
  own: string | undefined,
  names: Readonly<Record<string, string>>,
): readonly SiteRoute[] {
  return routes.map((route, i) => {
    const chosen = names[placeOf(route)] ?? (i === 0 ? own : undefined)
    return { ...route, droplet_name: chosen ?? route.droplet_name }
  })
}

/** What is in the file beside its server blocks, and whether others need it. */
function judgeFile(site: SiteFile, outside: readonly Located[], { refuse }: Findings): void {
  const [first] = site.directives
  if (site.fixed !== undefined && first !== undefined) refuse(first, `the file cannot be taken away: ${site.fixed}`)
  for (const directive of site.directives) {
    const { name, args } = directive
    if (name === 'server') continue
    const isMap = name === 'map' && args[0] === '$http_upgrade'
    const used =
      name === 'upstream' ? passesTo(outside, args[0] ?? '') : isMap ? uses(outside, args[1] ?? '') : undefined
    if (name !== 'upstream' && !isMap) refuse(directive, 'it may concern the other sites of the host, too')
    else if (used !== undefined) refuse(directive, `${used.file}, line ${used.line}, uses it`)
  }
}

/** The first directive that satisfies a test, in blocks, too. */
function find(directives: readonly Located[], isWanted: (one: Located) => boolean): Located | undefined {
  for (const directive of directives) {
    const found = isWanted(directive) ? directive : find(directive.block ?? [], isWanted)
    if (found !== undefined) return found
  }
  return undefined
}

function passesTo(directives: readonly Located[], upstream: string): Located | undefined {
  const url = new RegExp(`(^|//)${literal(upstream)}([/:]|$)`)
  return find(directives, ({ name: directive, args }) => /_pass$/.test(directive) && url.test(args[0] ?? ''))
}

function uses(directives: readonly Located[], variable: string): Located | undefined {
  const use = new RegExp(`\\$\\{?${literal(variable.slice(1))}(?!\\w)`)
  return find(directives, ({ args }) => args.some((arg) => use.test(arg)))
}

/** NGINX accepts any character in the name of an upstream or of a variable that a map defines. */
function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

/** Names that no route may have, since somebody else serves them. */
function judgeNames(
  { at, names, schemes, listens }: ReturnType<typeof readServer>,
  outside: readonly Located[],
  ports: JudgeFacts['ports'],
  findings: Findings,
): void {
  if (names.length === 0) findings.refuse(at, 'a route has a domain: this block has no server_name')
  if (schemes.length === 0 && listens.length > 0)
    findings.refuse(at, `it is not served on port ${ports.http} or ${ports.https}`)
  const others = outside.filter(({ name }) => name === 'server')
  for (const other of others) {
    const shared = (other.block ?? [])
      .filter(({ name }) => name === 'server_name')
      .flatMap(({ args }) => args.map((name) => name.toLowerCase()))
      .find((name) => names.includes(name))
    if (shared !== undefined) findings.refuse(at, `${other.file}, line ${other.line}, serves ${shared}, too`)
  }
}

/** A body that a PUT would refuse is no route. */
function judgeRoutes(routes: readonly SiteRoute[], at: Located | undefined, { refuse }: Findings): void {
  if (at === undefined) return
  for (const { droplet_name, body } of routes) {
    const parsed = v.safeParse(PutProxyBody, body)
    for (const issue of parsed.issues ?? [])
      refuse(at, `${body.domain}: ${v.getDotPath(issue) ?? 'the route'} ${issue.message}`)
    if (!v.is(DropletName, droplet_name))
      refuse(at, `${body.domain}: no droplet name can be made of it; pass droplet_names`)
  }
}

function blocksOf(name: string, directives: readonly Located[]): ReadonlyMap<string, Located> {
  return new Map(directives.flatMap((one) => (one.name === name ? [[one.args[0] ?? '', one] as const] : [])))
}

function listensOf({ block = [] }: Located): readonly string[] {
  return block.flatMap(({ name, args }) => (name === 'listen' ? [args.join(' ')] : []))
}
