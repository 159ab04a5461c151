/** The shapes in which deployed Registries list droplets, and the routes for them. */
import * as v from 'valibot'
import { Domain } from '../net/domain.ts'
import { DropletName } from '../route/droplet-name.ts'
import { UpstreamHost, UpstreamPort } from '../upstream/upstream.ts'

/** A route as the Registry has it. */
export interface RegistryRoute {
  readonly dropletName: string
  readonly domain: string
  readonly upstream_host: string
  readonly upstream_port: number
}

export interface Skipped {
  readonly name: string
  readonly reason: string
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
}
const Droplet = v.looseObject({
  name: v.pipe(v.string(), v.maxLength(253)),
  status: v.optional(v.nullable(v.string())),
  endpoint: v.optional(v.nullable(v.string())),
  metadata: v.optional(v.nullable(v.looseObject(Place))),
  ...Place,
})
type Droplet = v.InferOutput<typeof Droplet>
const Named = v.looseObject({ name: v.string() })

const Listing = v.union([
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
    const named = v.safeParse(Named, record)
    const name = named.success ? named.output.name : `record ${i + 1}`
    const route = droplet.success ? readRoute(droplet.output) : describeIssues(droplet.issues)
    if (typeof route === 'string') skipped.push({ name: printable(name), reason: route })
    else found.push({ name, route })
    if (typeof route === 'string' && named.success && !(droplet.success && isInactive(droplet.output)))
      ambiguous.push(toDropletName(name))
  }
  const duplicateOf = { dropletName: findDuplicates(found, 'dropletName'), domain: findDuplicates(found, 'domain') }
  const routes: RegistryRoute[] = []
  for (const { name, route } of found) {
    const [sameName, sameDomain] = [duplicateOf.dropletName(route), duplicateOf.domain(route)]
    const reason =
      sameName !== undefined
        ? `becomes the same droplet name as ${printable(sameName)}`
        : sameDomain !== undefined
          ? `has the same domain as ${printable(sameDomain)}`
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
  key: 'dropletName' | 'domain',
): (route: RegistryRoute) => string | undefined {
  const claims = new Map<string, Found[]>()
  for (const one of found) {
    const same = claims.get(one.route[key])
    if (same === undefined) claims.set(one.route[key], [one])
    else if (same.length < 2) same.push(one)
  }
  return (route) => claims.get(route[key])?.find((other) => other.route !== route)?.name
}

/** Why a record cannot be read at all. */
function describeIssues(issues: readonly v.BaseIssue<unknown>[]): string {
  const keys = issues.map((issue) => v.getDotPath(issue))
  if (keys.includes(null) || keys.includes('name')) return 'has no valid name, or is not an object'
  return `has no valid ${[...new Set(keys)].join(', ')}`
}

function readRoute(droplet: Droplet): RegistryRoute | string {
  if (isInactive(droplet)) return `is not active (${printable(droplet.status ?? '')})`
  const dropletName = toDropletName(droplet.name)
  // Some letters outside ASCII have an ASCII lower case: such a name would match another one.
  if (!/^[\x20-\x7e]*$/.test(droplet.name) || !v.is(DropletName, dropletName))
    return 'its name cannot be converted to a valid droplet name'
  const metadata = droplet.metadata ?? {}
  const endpoint = /^http:\/\/(\[[^\]]+\]|[^/:@?#\\]+):(\d{1,5})\/?$/.exec(droplet.endpoint ?? '')
  const domain = first(droplet.domain, metadata.domain)
  if (domain === undefined) return 'has no domain'
  const ownPort = first(droplet.port, droplet.internal_port, metadata.port, metadata.internal_port)
  if (ownPort === undefined && droplet.endpoint && endpoint === null)
    return 'has an endpoint that is not http://host:port'
  const fields = v.safeParse(v.object({ domain: Domain, host: UpstreamHost, port: Port }), {
    domain,
    host: first(droplet.host, metadata.host, endpoint?.[1]) ?? 'localhost',
    port: first(ownPort, endpoint?.[2]),
  })
  if (fields.success)
    return {
      dropletName,
      domain: fields.output.domain,
      upstream_host: fields.output.host,
      upstream_port: fields.output.port,
    }
  const wrong = new Set(fields.issues.map((issue) => v.getDotPath(issue)))
  return `has no valid ${[...wrong].join(', ')}`
}

function isInactive({ status }: Droplet): boolean {
  return (status ?? 'active').toLowerCase() !== 'active'
}

function toDropletName(name: string): string {
  return name
    .trim()
    .toLowerCase()
    .replace(/[\s.]+/g, '-')
}

function first(...values: readonly unknown[]): unknown {
  return values.find((value) => value !== undefined && value !== null && value !== '')
}

/** A text of the Registry for an answer: short, and without control characters for a terminal. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 80)
}
