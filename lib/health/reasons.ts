/** Why a host is unhealthy or degraded, and what could be better: sentences that say what to do. */
import { posix } from 'node:path'
import { isOverdueForRenewal } from '../certificates/certificate.ts'
import type { LastCertificate } from '../certificates/ledger-file.ts'
import type { LastTest, Unreconciled } from '../change/context.ts'
import { ANGIE_UNSUPPORTED } from '../nginx/binary.ts'
import { missingInclude } from '../nginx/config/host-config.ts'
import { implicitDefaultServers, ownerOf } from '../nginx/config/listens.ts'
import type { DrainFigures } from '../nginx/draining.ts'
import type { RunningBuild } from '../nginx/running-build.ts'
import { hasModule } from '../render/context.ts'
import { untestableNetworks } from '../render/forwarded.ts'
import { lackingFeatures } from '../render/unsupported.ts'
import { dropletOfFileName } from '../route/file-names.ts'
import { namesOf, securedNames } from '../route/names.ts'
import { type ProxyStatus, statusOf } from '../route/state.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { Settings } from '../settings/settings.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import type { ManagerHealth } from './health-schema.ts'
import type { WriteFaults } from './writable.ts'

/** What was read of the host. */
export interface HealthFacts {
  readonly settings: Settings
  readonly nowMs: number
  readonly snapshot: Snapshot
  /** False in a harness with bare directories. */
  readonly hasMainConfig: boolean
  /** A route waits for HTTPS, and something else than NGINX's server blocks holds its port. */
  readonly isHttpsTaken: boolean
  readonly isNginxPresent: boolean
  readonly nginxVersion: string | null
  readonly isAngie: boolean
  readonly running: RunningBuild
  readonly isNginxRunning: boolean
  readonly isCertbotPresent: boolean
  /** Why the host cannot be read now; the other facts are older then. */
  readonly readFault: string | undefined
  readonly writeFaults: WriteFaults
  readonly lastTest: LastTest | undefined
  readonly lastReload: { readonly timestamp: string; readonly result: string } | undefined
  readonly lastCertificate: LastCertificate | undefined
  readonly ordersWaiting: number
  readonly overdueWorkers: DrainFigures['overdue']
  /** Why files that no longer fit the host could not be rendered again. */
  readonly unreconciled: Unreconciled | undefined
  /** Why a change could neither be completed nor rolled back. */
  readonly failedRollback: string | undefined
  /** Why the file with named tokens cannot be used. */
  readonly tokensFault: string | undefined
}

type Check = (facts: HealthFacts) => readonly string[]

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

const ADVICE: readonly Check[] = [
  ({ running, nginxVersion }) => restartAdvice(running, nginxVersion),
  ({ snapshot }) => {
    const { https, options } = lackingFeatures(snapshot.context)
    const isDegraded = routesOf(snapshot).some(({ record }) => record.enable_ssl)
    return [...(isDegraded ? [] : https), ...options].map(installAnother)
  },
  ({ isNginxPresent, snapshot }) =>
    when(
      isNginxPresent && !hasModule(snapshot.context, 'realip'),
      'This NGINX was built without ngx_http_realip_module: behind another proxy every client has the address of that proxy',
    ),
  ({ hasMainConfig, snapshot }) =>
    when(
      hasMainConfig && !snapshot.host.mainDirectives.has('worker_shutdown_timeout'),
      'set "worker_shutdown_timeout 1h;" at the top of nginx.conf, outside its http block: without it an open WebSocket keeps an old worker alive for ever',
    ),
  ({ overdueWorkers }) =>
    overdueWorkers.map(
      ({ pid, seconds }) =>
        `worker ${pid} of NGINX has been finishing its last connections for ${Math.floor(seconds / 3600)} h, with a former configuration: ask the clients to reconnect, or end it (kill ${pid}), which cuts them off`,
    ),
  ({ snapshot: { context, host } }) =>
    when(
      [...context.httpListens, ...context.httpsListens].some((listen) => listen.includes(' proxy_protocol')) &&
        !host.httpDirectives.has('real_ip_header'),
      'set "real_ip_header proxy_protocol;" and set_real_ip_from in the http block: without them routes see the address of the load balancer that sends the PROXY protocol',
    ),
  ({ snapshot }) => {
    const redirected = routesOf(snapshot).filter(({ record }) => securedNames(record).length > 0)
    return when(
      snapshot.context.trustedProxies.length > 0 && redirected.length > 0,
      `plain HTTP is redirected to HTTPS by ${redirected.map(({ record }) => record.droplet_name).join(', ')}: a route whose clients come through a proxy that ends TLS and speaks HTTP to this host loops, and needs "enable_ssl": false`,
    )
  },
  ({ snapshot: { context }, settings: { NGINX_HTTP_PORT: port } }) =>
    when(
      context.httpListens.every((listen) => /^(127\.|\[::1\]|localhost:)/.test(listen)),
      `NGINX listens only on loopback addresses at port ${port}, so routes are not reached from elsewhere: add "listen ${port};" to a server block, and restart NGINX`,
    ),
  ({ snapshot, settings }) =>
    implicitDefaultServers(snapshot.host.servers, settings.NGINX_HTTP_PORT).map(
      ({ file, line }) =>
        `the server block in ${file}, line ${line}, no longer receives requests for unknown names; add default_server to its listen directive`,
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

function routesOf({ routes }: Snapshot): readonly SnapshotRoute[] {
  return [...routes.values()]
}

function when(isSo: boolean, reason: string): readonly string[] {
  return isSo ? [reason] : []
}

function installAnother(lacking: string): string {
  return `${lacking}: install an NGINX that has it, such as Debian's`
}

/** The master that runs is not, or may not be, the binary on disk. */
function restartAdvice(running: RunningBuild, installed: string | null): readonly string[] {
  if (running.kind === 'other')
    return [
      `NGINX ${running.build.versionText} runs, and its binary was replaced by ${installed}: restart NGINX (systemctl restart nginx); until then files are written for both`,
    ]
  return when(
    running.kind === 'unknown',
    'which version of NGINX runs is not known (its binary may not be read): if NGINX was upgraded since its start, restart it (systemctl restart nginx)',
  )
}

/** A hand-written block with a route's domain: NGINX only warns, and serves one of the two. */
function lostDomain({ record }: SnapshotRoute, { host, context }: Snapshot): string[] {
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
  const { certificate, droplet_name: name } = record
  if (certificate === null) return []
  const call = `POST /proxies/${name}/ssl, or find out why certbot's timer does not renew it`
  if (Date.parse(certificate.expiry) <= nowMs) return [`the certificate of ${name} has expired: ${call}`]
  return when(
    isOverdueForRenewal(certificate, nowMs),
    `the certificate of ${name} expires on ${certificate.expiry} and was not renewed: ${call}`,
  )
}

/** The last order, if it failed and a route still needs its certificate. */
function failedOrder(last: LastCertificate | undefined, routes: readonly SnapshotRoute[]): string[] {
  const isWanted = routes.some(({ record }) => record.enable_ssl && record.domain === last?.domain)
  return last?.result === 'failure' && isWanted
    ? [`the last certificate order, for ${last.domain}, failed: ${last.reason}`]
    : []
}

function firstProblem(output: string): string {
  const lines = output.split('\n')
  const worst = ['[emerg]', '[warn]'].flatMap((level) => lines.find((line) => line.includes(level)) ?? [])
  return worst[0] ?? lines[0] ?? ''
}
