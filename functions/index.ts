/** The table of endpoints, composed into one Fetch handler. */
import { type App, composeApp } from '../lib/http/app.ts'
import { describeApi } from '../lib/http/openapi/describe-api.ts'
import type { Deps, Endpoint } from '../lib/http/operation.ts'
import adoptSite from './adopt-site.ts'
import checkProxy from './check-proxy.ts'
import createProxy from './create-proxy.ts'
import createSession from './create-session.ts'
import deleteCertificate from './delete-certificate.ts'
import deleteProxy from './delete-proxy.ts'
import endSession from './end-session.ts'
import explainUrl from './explain-url.ts'
import exportRoutes from './export-routes.ts'
import getEvents from './get-events.ts'
import getHistory from './get-history.ts'
import getHostSites from './get-host-sites.ts'
import getManagerHealth from './get-manager-health.ts'
import getMetrics from './get-metrics.ts'
import getOpenapi from './get-openapi.ts'
import getPage from './get-page.ts'
import getPageAsset from './get-page-asset.ts'
import getProxy from './get-proxy.ts'
import importRoutes from './import-routes.ts'
import issueCertificate from './issue-certificate.ts'
import listCertificates from './list-certificates.ts'
import listProxies from './list-proxies.ts'
import putCertificate from './put-certificate.ts'
import putProxy from './put-proxy.ts'
import reconcile from './reconcile.ts'
import renameProxy from './rename-proxy.ts'
import rollbackProxy from './rollback-proxy.ts'
import syncFromRegistry from './sync-from-registry.ts'
import udcCapabilities from './udc-capabilities.ts'
import udcDependencies from './udc-dependencies.ts'
import udcHealth from './udc-health.ts'
import udcMessage from './udc-message.ts'
import udcState from './udc-state.ts'

export const endpoints: readonly Endpoint[] = [
  putProxy,
  createProxy,
  listProxies,
  getProxy,
  deleteProxy,
  renameProxy,
  checkProxy,
  getHistory,
  rollbackProxy,
  issueCertificate,
  listCertificates,
  putCertificate,
  deleteCertificate,
  getManagerHealth,
  getEvents,
  explainUrl,
  syncFromRegistry,
  reconcile,
  exportRoutes,
  importRoutes,
  getHostSites,
  adoptSite,
  getMetrics,
  getOpenapi,
  udcHealth,
  udcCapabilities,
  udcState,
  udcDependencies,
  udcMessage,
  createSession,
  endSession,
]

/** The page for people, which is no part of the API that is described. */
export const page: readonly Endpoint[] = [getPage, getPageAsset]

export interface AppOptions {
  /** A path in front of every path, such as `/pm`. */
  readonly base?: string
  /** The endpoints to mount; all of them and the page if missing. */
  readonly mount?: readonly Endpoint[]
}

/** The API as one Fetch handler. `depsFor` makes what each request's handler is given; as long as it does not throw, the Fetch handler never does. */
export function createApp(
  depsFor: (request: Request) => Deps,
  { base = '', mount = [...endpoints, ...page] }: AppOptions = {},
): App {
  const operations = mount.map(({ operation }) => operation).filter(({ isPage }) => isPage !== true)
  return composeApp(depsFor, { endpoints: mount, base, describe: (version) => describeApi(operations, version, base) })
}
