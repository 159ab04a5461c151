/** The files of a plan: one and its symlink for each route that changes, and the shared file with the generation. */
import { type FileChange, type FileImage, sameImage } from '../host/file-image.ts'
import { withoutDefaultServer } from '../nginx/config/listens.ts'
import { renderSharedFile, type SharedContext } from '../render/shared-file.ts'
import { routeFileName, SHARED_FILE } from '../route/file-names.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'

/** The changes of one route's file and symlink; none where the route stays the very same. */
export function routeFileChanges(
  snapshot: Snapshot,
  after: ReadonlyMap<string, SnapshotRoute>,
  dropletName: string,
): FileChange[] {
  const name = routeFileName(dropletName)
  const found = snapshot.routes.get(dropletName)
  const wanted = after.get(dropletName)
  if (found === wanted) return []
  const before = found === undefined ? (snapshot.availableImages.get(name) ?? null) : { text: found.text }
  return fileAndLink(snapshot, name, before, wanted === undefined ? null : { text: wanted.text })
}

/** A file in sites-available and its symlink in sites-enabled, as far as they change. */
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

/**
 * The shared file belongs to every change, since it carries the generation. Where no route changes (`isNeeded` is false), it is only written
 * when it is not what it should be.
 */
export function planShared(
  snapshot: Snapshot,
  routes: ReadonlyMap<string, SnapshotRoute>,
  isNeeded: boolean,
  nextGeneration: number,
): { readonly files: readonly FileChange[]; readonly generation: number } {
  const { context, host, shared } = snapshot
  const hasHttps = [...routes.values()].some((route) => route.record.certificate !== null)
  const render = (generation: number) => {
    const sharedContext: SharedContext = {
      generation,
      catchAllHttp: withoutDefaultServer(context.httpListens, host.servers),
      catchAllHttps: hasHttps ? withoutDefaultServer(context.httpsListens, host.servers) : [],
      setByHost: host.httpDirectives,
    }
    return renderSharedFile(sharedContext, context)
  }
  const isCurrent = shared?.enabled === true && shared.text === render(shared.generation)
  if (isCurrent && !isNeeded) return { files: [], generation: shared.generation }
  const before = shared === undefined ? (snapshot.availableImages.get(SHARED_FILE) ?? null) : { text: shared.text }
  return {
    files: fileAndLink(snapshot, SHARED_FILE, before, { text: render(nextGeneration) }),
    generation: nextGeneration,
  }
}
