/** Snapshots and changes of them, for tests of plans. */
import type { HostConfiguration } from '../../lib/nginx/config/host-config.ts'
import type { Change, DeleteChange, Precondition, PutChange } from '../../lib/plan/change.ts'
import { type BatchPlan, planBatch } from '../../lib/plan/plan-batch.ts'
import { siteLinker } from '../../lib/route/site.ts'
import type { ProxySpec } from '../../lib/route/spec.ts'
import { readRouteFile, type SnapshotRoute } from '../../lib/route/stored-route.ts'
import type { Snapshot } from '../../lib/snapshot/snapshot.ts'
import { context } from './samples.ts'

export const AVAILABLE = '/etc/nginx/sites-available'
export const ENABLED = '/etc/nginx/sites-enabled'
export const SHARED = '000-proxy-manager.conf'
export const NOW = '2026-02-02T00:00:00.000Z'
export const LATER = '2026-03-03T00:00:00.000Z'

export const host: HostConfiguration = {
  mainPath: '/etc/nginx/nginx.conf',
  files: ['/etc/nginx/nginx.conf'],
  folders: [],
  includesSitesEnabled: true,
  servers: [],
  httpDirectives: new Map(),
  mainDirectives: new Set(),
  loadedModules: new Set(),
  errorLogs: [],
  pid: undefined,
}

export const empty: Snapshot = {
  sitesAvailable: AVAILABLE,
  sitesEnabled: ENABLED,
  routes: new Map(),
  unmanagedFiles: new Set(),
  shared: undefined,
  enabledImages: new Map(),
  availableImages: new Map(),
  host,
  context,
  certificates: new Map(),
}

export function put(dropletName: string, own: Partial<ProxySpec> = {}, change: Partial<PutChange> = {}): PutChange {
  return {
    kind: 'put',
    dropletName,
    spec: {
      domain: `${dropletName}.example.com`,
      upstream_host: 'localhost',
      upstream_port: 8001,
      require_healthy: true,
      enable_ssl: true,
      ...own,
    },
    upstream: { addresses: ['127.0.0.1', '::1'], resolvers: [] },
    health: { status: 'healthy', checkedAt: NOW },
    mode: 'replace',
    source: 'api',
    precondition: {},
    ...change,
  }
}

export function remove(dropletName: string, precondition: Precondition = {}): DeleteChange {
  return { kind: 'delete', dropletName, precondition }
}

/** The snapshot of a host after these changes. */
export function after(changes: readonly Change[], before: Snapshot = empty, generation = 1): Snapshot {
  return applied(before, planBatch(before, changes, { nextGeneration: generation, now: NOW }))
}

export function applied(before: Snapshot, { files, generation }: BatchPlan): Snapshot {
  const routes = new Map(before.routes)
  const enabledImages = new Map(before.enabledImages)
  let { shared } = before
  for (const { path, after } of files) {
    const name = path.slice(path.lastIndexOf('/') + 1)
    const dropletName = name.replace(/^fpai-|\.conf$/g, '')
    if (path.startsWith(ENABLED)) {
      if (after === null) enabledImages.delete(name)
      else enabledImages.set(name, after)
    } else if (after === null || !('text' in after)) routes.delete(dropletName)
    else if (name === SHARED) shared = { text: after.text, generation, enabled: true }
    else routes.set(dropletName, enabledRoute(dropletName, after.text))
  }
  return { ...before, routes: siteLinker()(routes), enabledImages, shared }
}

function enabledRoute(dropletName: string, text: string): SnapshotRoute {
  const found = readRouteFile(dropletName, text)
  if (found === undefined) throw new Error(`no route in ${text}`)
  return { ...found, enabled: true }
}
