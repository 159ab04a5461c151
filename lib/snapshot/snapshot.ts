/** What a host looks like at one moment, as far as plans depend on it, and what a plan changes of it. */
import type { CheckedCertificate } from '../certificates/certificate.ts'
import type { FileImage } from '../host/file-image.ts'
import type { HostConfiguration } from '../nginx/config/host-config.ts'
import type { RenderContext } from '../render/context.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'

/** Everything a plan depends on, read in one sweep. */
export interface Snapshot {
  readonly sitesAvailable: string
  readonly sitesEnabled: string
  readonly routes: ReadonlyMap<string, SnapshotRoute>
  /** Files that bear the name of a droplet's route and that Proxy Manager did not write (empty ones apart), by droplet name. */
  readonly unmanagedFiles: ReadonlySet<string>
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
