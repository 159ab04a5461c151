/** One file per droplet: a header comment with the route's record and a checksum, then its server blocks. Files are the only store. */
import { createHash } from 'node:crypto'
import * as v from 'valibot'
import { Domain } from './domain.ts'
import { printNginx } from './nginx-print.ts'
import { type RenderContext, routeDirectives } from './nginx-server-block.ts'
import { SHARED_FILE, type SharedContext, sharedDirectives } from './nginx-shared.ts'
import { DropletName } from './proxy.ts'
import { ProxyOptions } from './proxy-options.ts'

export const CertificateSummary = v.object({
  issuer: v.string(),
  not_before: v.string(),
  expiry: v.string(),
  domains: v.array(v.string()),
  serial: v.string(),
  fingerprint_sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
})
export type CertificateSummary = v.InferOutput<typeof CertificateSummary>

export const HealthStatus = v.picklist(['healthy', 'unhealthy', 'unknown'])
export type HealthStatus = v.InferOutput<typeof HealthStatus>

export const RouteSource = v.picklist(['api', 'registry'])
export type RouteSource = v.InferOutput<typeof RouteSource>

const RouteRecord = v.object({
  version: v.literal(1),
  droplet_name: DropletName,
  domain: Domain,
  /** Null, as the port is, where the route only redirects. */
  upstream_host: v.nullable(v.string()),
  upstream_port: v.nullable(v.number()),
  /** Literal addresses, the first one first; null where NGINX asks `resolvers` for `upstream_host` while it runs. */
  upstream_addresses: v.nullable(v.array(v.string())),
  resolvers: v.array(v.string()),
  enable_ssl: v.boolean(),
  /** Who made the route: a call, or a sync with the Registry, which leaves routes of calls alone. */
  source: v.optional(RouteSource, 'api'),
  options: v.optional(ProxyOptions, {}),
  certificate: v.nullable(CertificateSummary),
  last_health_status: HealthStatus,
  last_health_checked_at: v.nullable(v.string()),
  created_at: v.string(),
  updated_at: v.string(),
})

/** All that a route's file says about it. Times are ISO 8601 in UTC. */
export interface RouteRecord extends Readonly<v.InferOutput<typeof RouteRecord>> {}

/** A route's file as it was found. */
export interface FoundRoute {
  readonly record: RouteRecord
  readonly text: string
  /** Changes with every byte of the file. */
  readonly revision: string
  /** The file is not what was written. */
  readonly drifted: boolean
}

/** Begins every file of ours, so that a torn one is still known as ours. */
export const NOTICE =
  '# Managed by Proxy Manager. An edit by hand shows as "drifted" and is replaced by the next PUT of this route.'

const PREFIX = 'fpai-'
const SUFFIX = '.conf'

export function routeFileName(dropletName: string): string {
  return `${PREFIX}${dropletName}${SUFFIX}`
}

/** The droplet whose route a file name belongs to; `undefined` for files that are not ours. */
export function dropletOfFileName(name: string): string | undefined {
  if (!name.startsWith(PREFIX) || !name.endsWith(SUFFIX)) return undefined
  const dropletName = name.slice(PREFIX.length, -SUFFIX.length)
  return v.is(DropletName, dropletName) ? dropletName : undefined
}

/** Whether a file name is one that Proxy Manager writes. */
export function isOwnFileName(name: string): boolean {
  return name === SHARED_FILE || dropletOfFileName(name) !== undefined
}

/** The whole text of a route's file. */
export function renderRouteFile(record: RouteRecord, context: RenderContext): string {
  return withHeader(JSON.stringify(record), printNginx(routeDirectives(record, context)))
}

/** The whole text of the shared file, its record being the generation. */
export function renderSharedFile(shared: SharedContext, context: RenderContext): string {
  return withHeader(JSON.stringify({ generation: shared.generation }), printNginx(sharedDirectives(shared, context)))
}

/** Reads a route's file; `undefined` where no record of this droplet can be read from it. */
export function readRouteFile(dropletName: string, text: string): FoundRoute | undefined {
  const header = readHeader(text)
  const record = v.safeParse(RouteRecord, header?.record)
  if (header === undefined || !record.success || record.output.droplet_name !== dropletName) return undefined
  return { record: record.output, text, revision: revisionOf(text), drifted: !header.intact }
}

/** The generation that a shared file serves, and whether the file is what was written; `undefined` where it cannot be read. */
export function readSharedFile(text: string): { readonly generation: number; readonly intact: boolean } | undefined {
  const header = readHeader(text)
  const record = v.safeParse(v.object({ generation: v.pipe(v.number(), v.integer()) }), header?.record)
  return header !== undefined && record.success
    ? { generation: record.output.generation, intact: header.intact }
    : undefined
}

/** A shared file as it was, under another generation: what a restored configuration is told apart by. */
export function renumberSharedFile(text: string, generation: number): string {
  const [found, header] = [readSharedFile(text), readHeader(text)]
  if (found === undefined || header === undefined) return text
  const renumbered = header.configuration.replace(`return 200 ${found.generation};`, `return 200 ${generation};`)
  return withHeader(JSON.stringify({ generation }), renumbered)
}

/** The ETag of a route: the first 16 hexadecimal digits of its file's SHA-256. */
export function revisionOf(text: string): string {
  return sha256(text).slice(0, 16)
}

const RECORD = '# record: '
/** In bytes: NGINX reads a comment only if it fits into 4096 of them with the line's end (NGX_CONF_BUFFER). */
const LONGEST_COMMENT = 4095
/** What fits in any case: no character has more than four bytes. */
const PIECES = /.{1,1000}/gsu

function withHeader(record: string, configuration: string): string {
  const isShort = Buffer.byteLength(RECORD + record) <= LONGEST_COMMENT
  const pieces = isShort ? [record] : (record.match(PIECES) ?? [])
  const signed = pieces.map((piece) => `${RECORD}${piece}\n`).join('') + configuration
  return `${NOTICE}\n# sha256: ${sha256(signed)}\n${signed}`
}

interface Header {
  readonly record: unknown
  readonly configuration: string
  readonly intact: boolean
}

function readHeader(text: string): Header | undefined {
  const match = /^#[^\n]*\n# sha256: ([0-9a-f]{64})\n(((?:# record: [^\n]*\n)+)([\s\S]*))$/.exec(text)
  if (match === null) return undefined
  const [, checksum, signed = '', lines = '', configuration = ''] = match
  const json = lines.slice(RECORD.length, -1).replaceAll(`\n${RECORD}`, '')
  try {
    return { record: JSON.parse(json), configuration, intact: sha256(signed) === checksum }
  } catch {
    return undefined
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
