/** What a host looks like at one moment, as far as plans depend on it, and what a plan changes of it. */
import type { CheckedCertificate } from './certificate.ts'
import type { HostConfiguration } from './nginx-host.ts'
import type { RenderContext } from './nginx-server-block.ts'
import type { FoundRoute } from './route-file.ts'

/** A route on disk. */
export interface SnapshotRoute extends FoundRoute {
  /** A symlink in sites-enabled leads to it. */
  readonly enabled: boolean
}

/** Everything a plan depends on, read in one sweep. */
export interface Snapshot {
  readonly sitesAvailable: string
  readonly sitesEnabled: string
  readonly routes: ReadonlyMap<string, SnapshotRoute>
  /** Files that bear the name of a droplet's route and that Proxy Manager did not write (empty ones apart), by droplet name. */
  readonly foreignFiles: ReadonlySet<string>
  readonly shared: { readonly text: string; readonly generation: number; readonly enabled: boolean } | undefined
  /** What stands in sites-enabled under one of our names: file name -> image. */
  readonly enabledImages: ReadonlyMap<string, FileImage>
  /** What stands in sites-available under one of our names and is no readable route, such as an empty file. */
  readonly availableImages: ReadonlyMap<string, FileImage>
  readonly host: HostConfiguration
  readonly context: RenderContext
  /** Certificates that were found and checked, by domain. */
  readonly certificates: ReadonlyMap<string, CheckedCertificate>
}

/** What stands at a path: a regular file with this text, or a symlink. Absence is null. */
export type FileImage = { readonly text: string } | { readonly linkTo: string }

/** One path before and after a change. */
export interface FileChange {
  readonly path: string
  readonly before: FileImage | null
  readonly after: FileImage | null
}

/** Whether two images are the same to the byte. */
export function sameImage(a: FileImage | null, b: FileImage | null): boolean {
  if (a === null || b === null) return a === b
  return 'text' in a ? 'text' in b && a.text === b.text : 'linkTo' in b && a.linkTo === b.linkTo
}
