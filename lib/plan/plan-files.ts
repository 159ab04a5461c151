/** The files of a plan: file and symlink of each route that changes, and the shared file with the generation. */
import { type FileChange, type FileImage, sameImage } from '../host/file-image.ts'
import { withoutDefaultServer } from '../nginx/config/listens.ts'
import { renderSharedFile, type SharedContext } from '../render/shared-file.ts'
import { routeFileName, SHARED_FILE } from '../route/droplet-name.ts'
import { placedUpstreams } from '../route/record.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'

/** The changes of a route's file and symlink; none if the route does not change. */
export function routeFileChanges(
  snapshot: Snapshot,
  after: ReadonlyMap<string, SnapshotRoute>,
  dropletName: string,
): FileChange[] {
  const name = routeFileName(dropletName)
  const found = snapshot.routes.get(dropletName)
  const wanted = after.get(dropletName)
  const isStray = found === undefined && snapshot.enabledImages.has(name)
  const isUntouched =
    found?.text === wanted?.text && found?.enabled === wanted?.enabled && found?.drifted === wanted?.drifted
  if (isUntouched && !isStray) return []
  const isAvailable = found !== undefined && found.isOnlyEnabled !== true
  const before = isAvailable ? { text: found.text } : (snapshot.availableImages.get(name) ?? null)
  return fileAndLink(snapshot, name, before, wanted === undefined ? null : { text: wanted.text })
}

/** The changes of a file in sites-available and its symlink in sites-enabled. */
function fileAndLink(
  snapshot: Snapshot,
  name: string,
  before: FileImage | null,
  after: FileImage | null,
): FileChange[] {
  const path = `${snapshot.sitesAvailable}/${name}`
  const link = after === null ? null : { linkTo: path }
  const file: FileChange = { path, before, after }
  const enabled: FileChange = {
    path: `${snapshot.sitesEnabled}/${name}`,
    before: snapshot.enabledImages.get(name) ?? null,
    after: link,
  }
  return [file, enabled].filter((change) => !sameImage(change.before, change.after))
}

interface PlannedShared {
  readonly files: readonly FileChange[]
  readonly generation: number
}

/** The shared file with the next generation; every change includes it. */
export function renewShared(
  snapshot: Snapshot,
  routes: ReadonlyMap<string, SnapshotRoute>,
  nextGeneration: number,
): PlannedShared {
  const { shared } = snapshot
  const before = shared === undefined ? (snapshot.availableImages.get(SHARED_FILE) ?? null) : { text: shared.text }
  const after = { text: renderShared(snapshot, routes, nextGeneration) }
  return { files: fileAndLink(snapshot, SHARED_FILE, before, after), generation: nextGeneration }
}

/** No files if the shared file is up to date, otherwise the same as {@link renewShared}. */
export function repairShared(
  snapshot: Snapshot,
  routes: ReadonlyMap<string, SnapshotRoute>,
  nextGeneration: number,
): PlannedShared {
  const { shared } = snapshot
  return shared !== undefined && isSharedCurrent(snapshot, routes, shared)
    ? { files: [], generation: shared.generation }
    : renewShared(snapshot, routes, nextGeneration)
}

/** Whether the shared file is enabled, and what it would be if it were rendered now. */
export function isSharedCurrent(
  snapshot: Snapshot,
  routes: ReadonlyMap<string, SnapshotRoute>,
  shared: NonNullable<Snapshot['shared']>,
): boolean {
  return shared.enabled && shared.text === renderShared(snapshot, routes, shared.generation)
}

function renderShared(
  { context, host }: Snapshot,
  routes: ReadonlyMap<string, SnapshotRoute>,
  generation: number,
): string {
  const hasHttps = [...routes.values()].some((route) => route.record.certificate !== null)
  const shared: SharedContext = {
    generation,
    catchAllHttp: withoutDefaultServer(context.httpListens, host.servers),
    catchAllHttps: hasHttps ? withoutDefaultServer(context.httpsListens, host.servers) : [],
    hasNamedUpstream: [...routes.values()].some(({ record }) =>
      placedUpstreams(record).some(({ addresses }) => addresses === null),
    ),
  }
  return renderSharedFile(shared, context)
}
