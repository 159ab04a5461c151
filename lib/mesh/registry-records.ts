/** The shapes in which deployed Registries list droplets, and the routes for them. */

import * as v from 'valibot'
import type { Skipped } from '../bulk/change-many.ts'
import { Domain } from '../net/domain.ts'
import { pathField, pathOf, ROOT, RoutePath } from '../net/path.ts'
import { DropletName, foldName } from '../route/droplet-name.ts'
import { UpstreamHost, UpstreamPort } from '../upstream/upstream.ts'

/** A route as the Registry has it. */
export interface RegistryRoute {
  readonly dropletName: string
  readonly domain: string
  /** Absent if it is `/`. */
  readonly path?: string
  readonly upstream_host: string
  readonly upstream_port: number
}

export interface RegistryAnswer {
  readonly routes: readonly RegistryRoute[]
  readonly skipped: readonly Skipped[]
  /** Droplet names of records that exist but cannot be read, or cannot be distinguished: their routes are not orphaned. */
  readonly ambiguous: readonly string[]
}

const Port = v.union([UpstreamPort, v.pipe(v.string(), v.regex(/^\d{1,5}$/), v.transform(Number), UpstreamPort)])
const Place = {
  host: v.optional(v.unknown()),
  port: v.optional(v.unknown()),
  internal_port: v.optional(v.unknown()),
  domain: v.optional(v.unknown()),
  url: v.optional(v.unknown()),
}
const Droplet = v.looseObject({
  status: v.optional(v.nullable(v.string())),
  endpoint: v.optional(v.nullable(v.string())),
  fqdn: v.optional(v.unknown()),
  metadata: v.optional(v.nullable(v.looseObject(Place))),
  ...Place,
})
type Droplet = v.InferOutput<typeof Droplet>
const Name = v.pipe(v.string(), v.minLength(1), v.maxLength(253))
const Named = v.looseObject({
  name: v.optional(v.unknown()),
  id: v.optional(v.unknown()),
  metadata: v.fallback(v.looseObject({ name: v.optional(v.unknown()) }), {}),
})
/** Words of deployed Registries for a droplet that runs. */
export const RUNNING = ['active', 'healthy', 'online', 'running']

/** The shapes of a list of droplets. */
export const Listing = v.union([
  v.array(v.unknown()),
  v.pipe(
    v.looseObject({ droplets: v.array(v.unknown()) }),
    v.transform(({ droplets }) => droplets),
  ),
])

/** This many records take about a millisecond. */
const CHUNK = 100

/**
 * Parses a Registry's answer: an array or `{ "droplets": [...] }`; the address of a droplet in its own fields, in `metadata`, or in `endpoint`,
 * in this order. A record that does not fit is skipped with its reason and affects no other. `undefined` if it is no such list.
 * Yields after each chunk, so that the caller can do something else meanwhile.
 */
export function* parseRegistry(answer: unknown): Generator<undefined, RegistryAnswer | undefined> {
  const listing = v.safeParse(Listing, answer)
  if (!listing.success) return undefined
  const skipped: Skipped[] = []
  const ambiguous: string[] = []
  const found: Found[] = []
  for (const [i, record] of listing.output.entries()) {
    if (i % CHUNK === CHUNK - 1) yield
    const droplet = v.safeParse(Droplet, record)
    const ownName = nameOf(record)
    const name = ownName ?? `record ${i + 1}`
    const route = !droplet.success
      ? describeIssues(droplet.issues)
      : ownName === undefined
        ? 'has no valid name (looked for name, metadata.name, id)'
        : readRoute(ownName, droplet.output)
    if (typeof route === 'string') skipped.push({ name: printable(name), reason: route })
    else found.push({ name, route })
    if (typeof route === 'string' && ownName !== undefined && !(droplet.success && isInactive(droplet.output)))
      ambiguous.push(foldName(name))
  }
  const duplicateOf = {
    dropletName: findDuplicates(found, ({ dropletName }) => dropletName),
    site: findDuplicates(found, (route) => route.domain + pathOf(route)),
  }
  const routes: RegistryRoute[] = []
  for (const { name, route } of found) {
    const [sameName, sameSite] = [duplicateOf.dropletName(route), duplicateOf.site(route)]
    const reason =
      sameName !== undefined
        ? `becomes the same droplet name as ${printable(sameName)}`
        : sameSite !== undefined
          ? `has the same domain${route.path === undefined ? '' : ' and path'} as ${printable(sameSite)}`
          : undefined
    if (reason === undefined) routes.push(route)
    else {
      skipped.push({ name: printable(name), reason })
      ambiguous.push(route.dropletName)
    }
  }
  return { routes, skipped, ambiguous }
}

interface Found {
  readonly name: string
  readonly route: RegistryRoute
}

/**
 * Makes a lookup of the name of another record with the same value; both are left out then, since neither has the better claim. In one pass:
 * a list of 4 MiB can have 100,000 records.
 */
function findDuplicates(
  found: readonly Found[],
  keyOf: (route: RegistryRoute) => string,
): (route: RegistryRoute) => string | undefined {
  const claims = new Map<string, Found[]>()
  for (const one of found) {
    const key = keyOf(one.route)
    const same = claims.get(key)
    if (same === undefined) claims.set(key, [one])
    else if (same.length < 2) same.push(one)
  }
  return (route) => claims.get(keyOf(route))?.find((other) => other.route !== route)?.name
}

/** Why a record cannot be read at all. */
function describeIssues(issues: readonly v.BaseIssue<unknown>[]): string {
  const keys = issues.map((issue) => v.getDotPath(issue))
  if (keys.includes(null)) return 'is not an object'
  return `has no valid ${[...new Set(keys)].join(', ')}`
}

/** Where deployed Registries have the name, in this order; a number is no name. */
function nameOf(record: unknown): string | undefined {
  const named = v.safeParse(Named, record)
  if (!named.success) return undefined
  const { name, metadata, id } = named.output
  return [name, metadata.name, id].find((text) => v.is(Name, text))
}

function readRoute(name: string, droplet: Droplet): RegistryRoute | string {
  if (isInactive(droplet)) return `is not active (${printable(droplet.status ?? '')})`
  const dropletName = foldName(name)
  // Some letters outside ASCII have an ASCII lower case: such a name would match another one.
  if (!/^[\x20-\x7e]*$/.test(name) || !v.is(DropletName, dropletName))
    return 'its name cannot be converted to a valid droplet name'
  const metadata = droplet.metadata ?? {}
  const site = readUrl(first(droplet.url, metadata.url))
  const [endpoint] = [droplet.endpoint, site.address]
    .map((url) => ADDRESS.exec(url ?? ''))
    .filter((match) => match !== null)
  const domain = first(droplet.domain, metadata.domain, droplet.fqdn, site.domain)
  if (domain === undefined) return 'has no domain (looked for domain, metadata.domain, fqdn, url, metadata.url)'
  const ownPort = first(droplet.port, droplet.internal_port, metadata.port, metadata.internal_port)
  if (ownPort === undefined && endpoint === undefined)
    return droplet.endpoint
      ? 'has an endpoint that is not http://host:port'
      : 'has no port (looked for port, internal_port, metadata.port, metadata.internal_port, endpoint)'
  const fields = v.safeParse(v.object({ domain: Domain, path: RoutePath, host: UpstreamHost, port: Port }), {
    domain,
    path: domain === site.domain ? site.path : ROOT,
    host: first(droplet.host, metadata.host, endpoint?.[1]) ?? 'localhost',
    port: first(ownPort, endpoint?.[2]),
  })
  if (fields.success)
    return {
      dropletName,
      domain: fields.output.domain,
      ...pathField(fields.output),
      upstream_host: fields.output.host,
      upstream_port: fields.output.port,
    }
  const wrong = new Set(fields.issues.map((issue) => v.getDotPath(issue)))
  return `has no valid ${[...wrong].join(', ')}`
}

/** A droplet's own address. */
const ADDRESS = /^http:\/\/(\[[^\]]+\]|[^/:@?#\\]+):(\d{1,5})\/?$/

/** A URL is that of a site, with the path of a route, if it has a name and no port, else the address of a droplet. */
function readUrl(value: unknown): { readonly domain?: string; readonly path?: string; readonly address?: string } {
  if (typeof value !== 'string' || !URL.canParse(value)) return {}
  const { protocol, hostname, port, pathname } = new URL(value)
  if (!['http:', 'https:'].includes(protocol)) return {}
  if (port !== '' || !v.is(Domain, hostname)) return { address: value }
  return { domain: hostname, path: pathname === ROOT ? ROOT : pathname.replace(/\/$/, '') }
}

function isInactive({ status }: Droplet): boolean {
  return !RUNNING.includes((status ?? 'active').toLowerCase())
}

function first(...values: readonly unknown[]): unknown {
  return values.find((value) => value !== undefined && value !== null && value !== '')
}

/** A text of the Registry for an answer: short, and without control characters for a terminal. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 80)
}
