/** Why a host is unhealthy or degraded: sentences that say what to do. */
import { posix } from 'node:path'
import { isExpiring } from '../certificates/certificate.ts'
import type { LastCertificate } from '../certificates/ledger-file.ts'
import { ANGIE_UNSUPPORTED } from '../nginx/binary.ts'
import { firstProblem } from '../nginx/config/diagnostic.ts'
import { missingInclude } from '../nginx/config/host-config.ts'
import { ownerOf } from '../nginx/config/listens.ts'
import { untestableNetworks } from '../render/forwarded.ts'
import { lackingFeatures } from '../render/unsupported.ts'
import { dropletOfFileName } from '../route/droplet-name.ts'
import { namesOf } from '../route/names.ts'
import type { RouteRecord } from '../route/record.ts'
import { type ProxyStatus, statusOf } from '../route/state.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import { ADVICE } from './advice.ts'
import { type Check, type HealthFacts, installAnother, routesOf, when } from './facts.ts'
import type { ManagerHealth } from './health-schema.ts'

/** With one of these, a change would fail. */
const UNHEALTHY: readonly Check[] = [
  ({ readFault }) => (readFault === undefined ? [] : [readFault]),
  ({ isNginxPresent, settings: { NGINX_BIN } }) =>
    when(
      !isNginxPresent,
      `NGINX cannot be run at NGINX_BIN (${posix.basename(NGINX_BIN)}): install it, or correct NGINX_BIN`,
    ),
  ({ writeFaults }) => Object.values(writeFaults).filter((fault) => fault !== undefined),
  ({ isNginxPresent, isNginxRunning }) =>
    when(isNginxPresent && !isNginxRunning, 'NGINX is not running: start it (systemctl start nginx)'),
  ({ snapshot }) => lackingFeatures(snapshot.context).everyRoute.map(installAnother),
  ({ lastTest }) =>
    lastTest?.ok === false ? [`the configuration fails nginx -t: ${firstProblem(lastTest.output)}`] : [],
  ({ failedRollback }) => (failedRollback === undefined ? [] : [failedRollback]),
]

/** With one of these, changes work, and something is not as it should be. */
const DEGRADED: readonly Check[] = [
  ({ isAngie }) => when(isAngie, ANGIE_UNSUPPORTED),
  ({ snapshot }) =>
    routesOf(snapshot).some(({ record }) => record.enable_ssl)
      ? lackingFeatures(snapshot.context).https.map(installAnother)
      : [],
  ({ snapshot, nowMs }) => routesOf(snapshot).flatMap((route) => certificateFault(route, nowMs)),
  ({ snapshot, settings }) => when(!snapshot.host.includesSitesEnabled, missingInclude(settings.NGINX_SITES_ENABLED)),
  ({ lastReload }) =>
    lastReload === undefined || lastReload.result === 'success'
      ? []
      : [`the last reload failed (${lastReload.result}) and was undone: see the log, then repeat the change`],
  ({ unreconciled }) =>
    unreconciled === undefined
      ? []
      : [
          `${unreconciled.routes.length > 0 ? `the files of ${unreconciled.routes.join(', ')}` : 'the shared file'} could not be rendered again for this host: ${unreconciled.reason}`,
        ],
  ({ snapshot }) => routesOf(snapshot).flatMap((route) => lostDomain(route, snapshot)),
  ({ snapshot }) =>
    namesByStatus(snapshot, 'drifted').map(
      (name) =>
        `route ${name} was edited by hand: repeat PUT /proxies/${name} to replace the edit (it is kept in the backups)`,
    ),
  ({ snapshot }) =>
    namesByStatus(snapshot, 'disabled').map(
      (name) =>
        `route ${name} has no symlink in sites-enabled: repeat PUT /proxies/${name} to serve it, or DELETE /proxies/${name}`,
    ),
  ({ tokensFault }) => (tokensFault === undefined ? [] : [tokensFault]),
  ({ lastCertificate, snapshot }) => failedOrder(lastCertificate, routesOf(snapshot)),
  ({ snapshot: { context } }) => {
    const fault = untestableNetworks(context.trustedProxies, context)
    return fault === undefined ? [] : [`${fault}: what these send is replaced`]
  },
  ({ isHttpsTaken, settings: { NGINX_HTTPS_PORT: port } }) =>
    when(
      isHttpsTaken,
      `port ${port} is held by another process or a stream block of NGINX, so that HTTPS cannot be served: free it, or set NGINX_HTTPS_PORT`,
    ),
  ({ snapshot }) =>
    [...snapshot.unmanagedFiles.keys()].map(
      (name) => `fpai-${name}.conf was not written by Proxy Manager: move it away to manage ${name}`,
    ),
  ({ snapshot }) =>
    [...snapshot.availableImages.keys()].map((file) => {
      const name = dropletOfFileName(file)
      return `${file} is damaged: repeat ${name === undefined ? 'the PUT of a route' : `PUT /proxies/${name}`}`
    }),
  ({ isCertbotPresent, snapshot }) =>
    when(
      !isCertbotPresent && routesOf(snapshot).some(({ record }) => record.enable_ssl),
      'certbot is missing (CERTBOT_BIN): install it to get certificates',
    ),
]

/** Judges a host by what was read of it; the reasons of an unhealthy host come first. */
export function assess(facts: HealthFacts): Pick<ManagerHealth, 'status' | 'reasons' | 'advice'> {
  const all = (checks: readonly Check[]) => checks.flatMap((check) => check(facts))
  const [unhealthy, degraded] = [all(UNHEALTHY), all(DEGRADED)]
  const status = unhealthy.length > 0 ? 'unhealthy' : degraded.length > 0 ? 'degraded' : 'healthy'
  return { status, reasons: [...unhealthy, ...degraded], advice: all(ADVICE) }
}

/** The droplet names of the routes in a status. */
export function namesByStatus(snapshot: Snapshot, status: ProxyStatus): string[] {
  const routes = routesOf(snapshot).filter((route) => statusOf(route) === status)
  return routes.map(({ record }) => record.droplet_name)
}

/** A hand-written block with a route's domain: NGINX only warns, and serves one of the two. */
function lostDomain({ record, servedBy }: SnapshotRoute, { host, context }: Snapshot): string[] {
  if (servedBy !== undefined) return []
  return namesOf(record).flatMap((name) => {
    const owner = ownerOf(name, host.servers, [context.httpPort, context.httpsPort])
    if (owner === undefined) return []
    return [
      `${name} of route ${record.droplet_name} is also in ${owner.file}, line ${owner.line}: remove it from one of them`,
    ]
  })
}

/** What is wrong with the certificate that a route serves. */
function certificateFault({ record }: SnapshotRoute, nowMs: number): readonly string[] {
  const { certificate, droplet_name: name, certificate_from: from } = record
  if (certificate === null)
    return when(
      from !== undefined && record.enable_ssl,
      `the certificate that ${name} has chosen may not be served: GET /certificates says why`,
    )
  const call = whatToDo(record)
  if (Date.parse(certificate.expiry) <= nowMs) return [`the certificate of ${name} has expired: ${call}`]
  return when(
    isExpiring(certificate, nowMs),
    `the certificate of ${name} expires on ${certificate.expiry} and was not renewed: ${call}`,
  )
}

/** Of a certificate that is about to expire, or has expired: who renews it. */
function whatToDo({ certificate, droplet_name: name, certificate_from: from }: RouteRecord): string {
  const { source } = certificate ?? {}
  if (source === undefined) return `POST /proxies/${name}/ssl, or find out why certbot's timer does not renew it`
  if ('name' in source) return `nothing renews it: PUT /certificates/${source.name} with a new one`
  const order = from === undefined ? '' : ', or choose another certificate'
  return `find out why the owner of certbot's lineage ${source.lineage} does not renew it${order}`
}

/** The last order, if it failed and a route still needs its certificate. */
function failedOrder(last: LastCertificate | undefined, routes: readonly SnapshotRoute[]): string[] {
  const isWanted = routes.some(({ record }) => record.enable_ssl && record.domain === last?.domain)
  return last?.result === 'failure' && isWanted
    ? [`the last certificate order, for ${last.domain}, failed: ${last.reason}`]
    : []
}
