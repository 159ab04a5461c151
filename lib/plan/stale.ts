/** Which of our files are not what they would be if they were rendered now, for the host as it is and by this version. */

import { isMounted } from '../net/path.ts'
import { contextKey } from '../render/context.ts'
import { renderFingerprint } from '../render/fingerprint.ts'
import { isRenderedAs } from '../render/route-file.ts'
import { SHARED_FILE } from '../route/droplet-name.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import { isSharedCurrent } from './plan-files.ts'

export interface Stale {
  /** Names of droplets. */
  readonly routes: readonly string[]
  readonly shared: boolean
}

/** Which files of ours were current, by the digests of their texts, and for what. */
export interface RenderedMark {
  readonly fingerprint: string
  readonly files: readonly string[]
}

export interface StaleFinder {
  /** `undefined` if everything is current. Costs nothing for files that were found current before, as long as the host stays the same. */
  find(snapshot: Snapshot): Stale | undefined
  /** The mark of a snapshot in which everything is current. */
  markOf(snapshot: Snapshot): RenderedMark
}

/** Makes a finder; `saved` is the mark of a previous process: a start renders only what it does not name. */
export function staleFinder(saved: RenderedMark | undefined): StaleFinder {
  let host = ''
  let current = new WeakSet<SnapshotRoute>()
  let isSavedPending = saved !== undefined
  const markOf = (snapshot: Snapshot): RenderedMark => ({
    fingerprint: renderFingerprint(snapshot.context),
    files: [...snapshot.routes.values()].flatMap((route) => (route.enabled && isByItself(route) ? [route.digest] : [])),
  })
  return {
    markOf,
    find: (snapshot) => {
      const now = contextKey(snapshot.context)
      if (now !== host) {
        host = now
        current = new WeakSet()
      }
      if (isSavedPending) {
        isSavedPending = false
        const known = new Set(saved?.fingerprint === renderFingerprint(snapshot.context) ? saved.files : [])
        for (const route of snapshot.routes.values())
          if (known.has(route.digest) && isByItself(route)) current.add(route)
      }
      const routes = [...snapshot.routes].flatMap(([name, route]) => {
        if (current.has(route) || isCurrent(route, snapshot)) {
          current.add(route)
          return []
        }
        return [name]
      })
      const shared = isSharedStale(snapshot)
      return routes.length === 0 && !shared ? undefined : { routes, shared }
    },
  }
}

/** A route that was edited by hand, or is not served, is left as it is. */
function isCurrent(route: SnapshotRoute, { context }: Snapshot): boolean {
  const { enabled, drifted, text, record } = route
  return !enabled || drifted || isRenderedAs(text, record, context, route)
}

/** Whether the text of a route depends on no other route. */
function isByItself({ record, mounts, servedBy }: SnapshotRoute): boolean {
  return !isMounted(record) && mounts === undefined && servedBy === undefined
}

/** One that was edited by hand is left until the next change, which has to write it; every route needs one, so a missing or empty one is stale. */
function isSharedStale(snapshot: Snapshot): boolean {
  if (snapshot.shared === undefined) {
    const found = snapshot.availableImages.get(SHARED_FILE)
    return snapshot.routes.size > 0 && (found === undefined || ('text' in found && found.text.trim() === ''))
  }
  return !isSharedCurrent(snapshot, snapshot.routes, snapshot.shared)
}
