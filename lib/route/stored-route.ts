/** Route files: one per droplet, a header comment with the route's record and a checksum, then its server blocks. There is no other store. */

import * as v from 'valibot'
import { pathField } from '../net/path.ts'
import { readHeader, sha256 } from './file-envelope.ts'
import { withoutLaterDefaults } from './options.ts'
import { entriesOf, RouteRecord } from './record.ts'
import type { PlaceInSite } from './site.ts'

/** A route file. */
export interface FoundRoute {
  readonly record: RouteRecord
  readonly text: string
  /** The ETag: changes with what a caller can set, and with nothing else. */
  readonly revision: string
  /** Changes with every byte of the file. */
  readonly digest: string
  /** The file is not what was written. */
  readonly drifted: boolean
}

/** Parses a route file; `undefined` if it has no valid record of this droplet. */
export function readRouteFile(dropletName: string, text: string): FoundRoute | undefined {
  const header = readHeader(text)
  const record = v.safeParse(RouteRecord, header?.record)
  if (header === undefined || !record.success || record.output.droplet_name !== dropletName) return undefined
  return {
    record: record.output,
    text,
    revision: revisionOf(record.output),
    digest: shortHash(text),
    drifted: !header.intact,
  }
}

/** The ETag of a route. Its rendering, health checks and certificate change without the caller, whose `If-Match` stays valid then. */
export function revisionOf(record: RouteRecord): string {
  const { droplet_name, domain, upstream_host, upstream_port, enable_ssl, options, certificate_from } = record
  const later = [
    ...(record.upstreams === undefined ? [] : [entriesOf(record)]),
    ...(certificate_from === undefined ? [] : [certificate_from]),
  ]
  const chosen = [{ ...withoutLaterDefaults(options), ...pathField(record) }, ...later]
  return shortHash(JSON.stringify([droplet_name, domain, upstream_host, upstream_port, enable_ssl, ...chosen]))
}

/** The first 16 hexadecimal digits of the SHA-256. */
function shortHash(text: string): string {
  return sha256(text).slice(0, 16)
}

/** A route on disk. */
export interface SnapshotRoute extends FoundRoute, PlaceInSite {
  /** It is enabled in sites-enabled. */
  readonly enabled: boolean
  /** Its file is served from sites-enabled itself, or through a symlink from elsewhere: there is none in sites-available. */
  readonly isOnlyEnabled?: boolean
}
