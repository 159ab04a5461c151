/** What each route was: the versions that were served, also of routes that were deleted. */
import * as v from 'valibot'
import { type Actor, ActorSchema, type DatedEvent } from '../events/event.ts'
import type { FileChange } from '../host/file-image.ts'
import type { Host } from '../host/host.ts'
import { readRecord } from '../host/json-record.ts'
import { logFailure } from '../host/log-failure.ts'
import { replaceUnsynced } from '../host/replace-file.ts'
import { pathField } from '../net/path.ts'
import { routeFileName } from '../route/droplet-name.ts'
import { writtenOptions } from '../route/options.ts'
import { entriesOf, type RouteRecord } from '../route/record.ts'
import { readRouteFile } from '../route/stored-route.ts'

const Version = v.object({
  version: v.number(),
  at: v.string(),
  actor: v.optional(ActorSchema),
  correlation_id: v.optional(v.string()),
  outcome: v.string(),
  generation: v.nullable(v.number()),
  /** As a PUT takes it; null if the route was deleted. */
  route: v.nullable(v.record(v.string(), v.unknown())),
})
export interface Version extends Readonly<v.InferOutput<typeof Version>> {}

/** The events of changes that may have made a version. */
const VERSIONED = /^route\.(created|replaced|deleted|renamed|rolled_back)$/
const MAX_VERSIONS = 50
const DELETED_KEPT_MS = 30 * 24 * 3_600_000
const MAX_DELETED = 1000

type HistoryHost = Pick<Host, 'files' | 'paths' | 'settings' | 'clock' | 'log'>

/**
 * The versions of a route, the newest first. With `current`, the route as it is, the newest of them is that one: what an earlier version of this
 * software or another program has written, and what a stopped process has not recorded, is a version, too.
 */
export function versionsOf(host: HistoryHost, dropletName: string, current?: RouteRecord): readonly Version[] {
  return withFound(readVersions(host, dropletName), current).toReversed()
}

/** Records what a change has made of the routes, from its files and its events. Never rejects: a failure is logged. */
export async function recordHistory(
  host: HistoryHost,
  { files, events }: { readonly files: readonly FileChange[]; readonly events: readonly DatedEvent[] },
): Promise<void> {
  for (const event of events)
    if (VERSIONED.test(event.type))
      await record(host, files, event).catch(
        logFailure(host, 'warn', { action: 'record_history', droplet_name: event.droplet_name }),
      )
}

async function record(host: HistoryHost, files: readonly FileChange[], event: DatedEvent): Promise<void> {
  const { type, droplet_name: name = '', at, actor, correlation_id, outcome = '', generation = null, details } = event
  const former = type === 'route.renamed' ? String(details.former_name) : name
  const versions = withFound(readVersions(host, former), recordIn(host, files, former, 'before'))
  const after = recordIn(host, files, name, 'after')
  const route = after === undefined ? null : routeOf(after)
  const newest = versions.at(-1)
  const isNew = newest === undefined || !isSame(newest.route, route) || type === 'route.renamed'
  const version = {
    version: (newest?.version ?? 0) + 1,
    at,
    actor,
    ...(correlation_id === undefined ? {} : { correlation_id }),
    outcome: /renamed|rolled_back/.test(type) ? type.slice('route.'.length) : outcome,
    generation,
    route,
  }
  const kept = (isNew ? [...versions, version] : versions).slice(-MAX_VERSIONS)
  const path = route === null ? `${host.paths.history}/${name}.${Date.parse(at)}.json` : pathOf(host, name)
  // Then it is the only one.
  const isThere = former === name && host.files.lstat(path) !== undefined
  await replaceUnsynced(host, path, JSON.stringify(kept))
  const others = isThere ? [] : filesOf(host, former).filter((other) => other !== path)
  for (const other of others) await host.files.remove(other)
  if (route === null) await prune(host)
}

export interface Authors {
  /** A change is final that has made these events; its versions are recorded later. */
  note(events: readonly DatedEvent[]): void
  /** Who made the newest version of a route; null if that is not known. */
  of(route: RouteRecord): Actor | null
}

/** Remembers who made each route. What the process has not seen is read from the history of the route, once. */
export function authorsOf(host: HistoryHost): Authors {
  const known = new Map<string, Actor>()
  const read = new WeakMap<RouteRecord, Actor | null>()
  return {
    note: (events) => {
      for (const event of events) {
        const { type, droplet_name = '', actor, details } = event
        if (type === 'route.renamed') known.delete(String(details.former_name))
        if (type === 'route.deleted') known.delete(droplet_name)
        else if (isVersion(event)) known.set(droplet_name, actor)
      }
    },
    of: (route) => {
      const found = known.get(route.droplet_name) ?? read.get(route)
      if (found !== undefined) return found
      const actor = readAuthor(host, route)
      read.set(route, actor)
      return actor
    },
  }
}

function readAuthor(host: HistoryHost, route: RouteRecord): Actor | null {
  const newest = readNewest(host, route.droplet_name)
  return (isSame(newest?.route, routeOf(route)) ? newest?.actor : undefined) ?? null
}

/** More than a version has. */
const NEWEST_BYTES = 32 * 1024

/**
 * Of up to 50 versions only the newest is read and parsed: the first list of 1,000 routes after a start waits for all of them, and their texts are not
 * kept in memory.
 */
function readNewest({ files, ...host }: HistoryHost, name: string): Version | undefined {
  try {
    const path = pathOf(host, name)
    const { text } = files.readFrom(path, Math.max(0, files.size(path) - NEWEST_BYTES))
    // In no string there is a quote without a backslash.
    return v.parse(Version, JSON.parse(text.slice(text.lastIndexOf('{"version":'), text.lastIndexOf(']'))))
  } catch {
    return undefined
  }
}

/** Whether a change makes a version: a certificate is no part of one. */
function isVersion({ type, details: { changed } }: DatedEvent): boolean {
  const isSame = Array.isArray(changed) && changed.every((field) => field === 'certificate')
  return VERSIONED.test(type) && !(type === 'route.replaced' && isSame)
}

/** The route as a PUT takes it. */
export function routeOf({ domain, upstream_host, upstream_port, enable_ssl, options, ...record }: RouteRecord) {
  const only = upstream_host === null || upstream_port === null ? {} : { upstream_host, upstream_port }
  const upstream =
    record.upstreams === undefined ? only : { upstreams: entriesOf({ upstream_host, upstream_port, ...record }) }
  const certificate = record.certificate_from === undefined ? {} : { certificate: record.certificate_from }
  return { domain, ...pathField(record), ...upstream, enable_ssl, ...certificate, options: writtenOptions(options) }
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

function withFound(versions: readonly Version[], current: RouteRecord | undefined): readonly Version[] {
  const newest = versions.at(-1)
  const route = current === undefined ? undefined : routeOf(current)
  if (route === undefined || current === undefined || isSame(newest?.route, route)) return versions
  const version = (newest?.version ?? 0) + 1
  return [...versions, { version, at: current.updated_at, outcome: 'found', generation: null, route }]
}

function recordIn(
  { settings }: Pick<Host, 'settings'>,
  files: readonly FileChange[],
  name: string,
  side: 'before' | 'after',
): RouteRecord | undefined {
  const image = files.find(({ path }) => path === `${settings.NGINX_SITES_AVAILABLE}/${routeFileName(name)}`)?.[side]
  return image != null && 'text' in image ? readRouteFile(name, image.text)?.record : undefined
}

function readVersions(host: HistoryHost, name: string): readonly Version[] {
  const live = pathOf(host, name)
  const [path] = host.files.lstat(live) === undefined ? filesOf(host, name) : [live]
  return path === undefined ? [] : (readRecord(host, path, v.array(Version)) ?? [])
}

function pathOf({ paths }: Pick<Host, 'paths'>, name: string): string {
  return `${paths.history}/${name}.json`
}

/** The file of a route, and those of deleted ones of this name, the newest first. */
function filesOf(host: HistoryHost, name: string): readonly string[] {
  const own = host.files
    .list(host.paths.history)
    .filter((file) => file.split('.')[0] === name && file.endsWith('.json'))
  const deleted = own
    .filter((file) => file !== `${name}.json`)
    .sort()
    .reverse()
  const live = own.length > deleted.length ? [`${name}.json`] : []
  return [...live, ...deleted].map((file) => `${host.paths.history}/${file}`)
}

async function prune({ files, paths, clock }: HistoryHost): Promise<void> {
  const deleted = files.list(paths.history).flatMap((file) => {
    const ms = /\.(\d+)\.json$/.exec(file)?.[1]
    return ms === undefined ? [] : [{ file, ms: Number(ms) }]
  })
  const oldest = deleted.sort((a, b) => b.ms - a.ms)
  const isOld = ({ ms }: { readonly ms: number }, i: number) => i >= MAX_DELETED || ms < clock.nowMs() - DELETED_KEPT_MS
  for (const { file } of oldest.filter(isOld)) await files.remove(`${paths.history}/${file}`)
}
