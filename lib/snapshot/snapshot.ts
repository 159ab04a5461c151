/** The state of a host at one moment, as far as plans depend on it. */
import type { Checked } from '../certificates/certificate.ts'
import type { FileImage } from '../host/file-image.ts'
import type { HostConfiguration } from '../nginx/config/host-config.ts'
import type { RenderContext } from '../render/context.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'

/** Everything a plan depends on. */
export interface Snapshot {
  readonly sitesAvailable: string
  readonly sitesEnabled: string
  readonly routes: ReadonlyMap<string, SnapshotRoute>
  /** Droplets whose file name is taken by a file that Proxy Manager did not write (empty files excepted). */
  readonly unmanagedFiles: ReadonlySet<string>
  readonly shared: { readonly text: string; readonly generation: number; readonly enabled: boolean } | undefined
  /** Files in sites-enabled with a name of ours: file name -> image. */
  readonly enabledImages: ReadonlyMap<string, FileImage>
  /** Files in sites-available with a name of ours that are no readable route, such as empty ones: file name -> image. */
  readonly availableImages: ReadonlyMap<string, FileImage>
  readonly host: HostConfiguration
  readonly context: RenderContext
  /** The certificates that were looked up, or why the one that a caller has chosen may not be served, by the keys of their wishes. */
  readonly certificates: ReadonlyMap<string, Checked>
}
