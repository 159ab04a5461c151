/** Whether Proxy Manager can do its work on this host, in words that an operator can act on. */

import { posix } from 'node:path'
import * as v from 'valibot'
import { isOverdueForRenewal } from '../certificates/certificate.ts'
import { type LastCertificate, readLastCertificate } from '../certificates/ledger-file.ts'
import { type ChangeContext, type LastTest, testedNow } from '../change/context.ts'
import { ProxyManagerError } from '../errors.ts'
import { readRecord } from '../host/json-record.ts'
import { singleFlight } from '../host/single-flight.ts'
import { missingInclude } from '../nginx/config/host-config.ts'
import { implicitDefaultServers, ownerOf } from '../nginx/config/listens.ts'
import { namesOf } from '../route/names.ts'
import { statusOf } from '../route/state.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import { unwritableReader } from './writable.ts'

export const ManagerHealth = v.object({
  status: v.picklist(['healthy', 'degraded', 'unhealthy']),
  reasons: v.array(v.string()),
  advice: v.array(v.string()),
  nginx: v.object({
    present: v.boolean(),
    version: v.nullable(v.string()),
    running: v.boolean(),
    includes_sites_enabled: v.boolean(),
    config_test_ok: v.nullable(v.boolean()),
    config_test_timestamp: v.nullable(v.string()),
    last_reload_timestamp: v.nullable(v.string()),
    last_reload_result: v.nullable(v.string()),
    generation: v.nullable(v.number()),
  }),
  ssl: v.object({
    certbot_present: v.boolean(),
    last_operation: v.nullable(v.picklist(['success', 'failure'])),
    last_operation_timestamp: v.nullable(v.string()),
    last_operation_domain: v.nullable(v.string()),
    last_operation_reason: v.nullable(v.string()),
  }),
  folders: v.object({
    sites_available_writable: v.boolean(),
    sites_enabled_writable: v.boolean(),
    state_writable: v.boolean(),
  }),
  routes: v.object({
    total: v.number(),
    active: v.number(),
    pending_ssl: v.number(),
    drifted: v.array(v.string()),
    disabled: v.array(v.string()),
  }),
})
export type ManagerHealth = v.InferOutput<typeof ManagerHealth>

const LastReload = v.object({ timestamp: v.string(), result: v.string() })

const SHUTDOWN_TIMEOUT_ADVICE =
  'set worker_shutdown_timeout in nginx.conf (such as 1h): without it an open WebSocket keeps an old worker alive for ever'

/** A test is repeated this long after the last one, while callers get the last one's result. */
const TEST_EVERY_MS = 60_000

/** Reads health. The first call waits for one test of the configuration; none after it does. */
export function healthReader(context: ChangeContext): () => Promise<ManagerHealth> {
  const { host, state } = context
  const readUnwritable = unwritableReader(host, state)
  const testing = singleFlight<void>()

  const test = async (): Promise<void> => {
    const observation = await context.observe([])
    const before = state.lastTest
    const result = await observation.nginx.testAsIs()
    // A change that ended meanwhile has tested what is live now; this one may have read half of both.
    if (state.lastTest !== before || state.unconfirmed !== undefined) return
    state.lastTest = testedNow(host, result)
  }
  const isFresh = (tested: LastTest | undefined) =>
    tested !== undefined && host.clock.monotonicMs() - tested.endedMs <= TEST_EVERY_MS
  const refreshTest = (): Promise<void> =>
    testing.run(() =>
      test().catch((error: Error) => {
        // Then the folders say so; of the configuration nothing is known.
        if (error instanceof ProxyManagerError && error.code === 'CONFIG_WRITE_FAILED') return
        state.lastTest = testedNow(host, { ok: false, output: error.message })
      }),
    )

  return async () => {
    const observation = await context.observe([])
    const { facts, hasMainConfig } = observation
    // While a change is not confirmed, what was served before it still is: between its renames a route would look broken.
    const { snapshot } = state.unconfirmed ?? observation
    const unwritable = await readUnwritable(observation)
    if (facts.present && state.lastTest === undefined) await refreshTest()
    else if (facts.present && !isFresh(state.lastTest)) void refreshTest()

    const { NGINX_SITES_ENABLED, NGINX_BIN, CERTBOT_BIN } = host.settings
    const routes = [...snapshot.routes.values()]
    const named = (status: string) =>
      routes.filter((route) => statusOf(route) === status).map((route) => route.record.droplet_name)
    const [drifted, disabled] = [named('drifted'), named('disabled')]
    const folders = {
      sites_available_writable: unwritable.sitesAvailable === undefined,
      sites_enabled_writable: unwritable.sitesEnabled === undefined,
      state_writable: unwritable.state === undefined,
    }
    const running = observation.nginx.findMaster() !== undefined
    const lastReload = readRecord(host, host.paths.lastReload, LastReload)
    const lastCertificate = readLastCertificate(host)
    const certbotPresent = host.files.stamp(CERTBOT_BIN) !== undefined
    const isIncluded = snapshot.host.includesSitesEnabled

    const unhealthy = [
      ...(facts.present
        ? []
        : [`NGINX cannot be run at NGINX_BIN (${posix.basename(NGINX_BIN)}): install it, or correct NGINX_BIN`]),
      ...Object.values(unwritable).filter((reason) => reason !== undefined),
      ...(facts.present && !running ? ['NGINX is not running: start it (systemctl start nginx)'] : []),
      ...(state.lastTest?.ok === false
        ? [`the configuration fails nginx -t: ${firstLine(state.lastTest.output)}`]
        : []),
      ...(state.degraded === undefined ? [] : [state.degraded]),
    ]
    const degraded = [
      ...routes.flatMap((route) => certificateFault(route, host.clock.nowMs())),
      ...(isIncluded ? [] : [missingInclude(NGINX_SITES_ENABLED)]),
      ...(lastReload === undefined || lastReload.result === 'success'
        ? []
        : [`the last reload failed (${lastReload.result}) and was undone: see the log, then repeat the change`]),
      ...routes.flatMap((route) => lostDomain(route, snapshot)),
      ...drifted.map(
        (name) => `route ${name} was edited by hand: repeat its PUT to replace the edit (it is kept in the backups)`,
      ),
      ...disabled.map(
        (name) => `route ${name} has no symlink in sites-enabled: repeat its PUT to serve it, or DELETE it`,
      ),
      ...failedOrder(lastCertificate, routes),
      ...[...snapshot.unmanagedFiles.keys()].map(
        (name) => `fpai-${name}.conf was not written by Proxy Manager: move it away to manage ${name}`,
      ),
      ...[...snapshot.availableImages.keys()].map((name) => `${name} is damaged: repeat the PUT of its route`),
      ...(certbotPresent || !routes.some((route) => route.record.enable_ssl)
        ? []
        : ['certbot is missing (CERTBOT_BIN): install it to get certificates']),
    ]
    const lacksShutdownTimeout = hasMainConfig && !snapshot.host.mainDirectives.has('worker_shutdown_timeout')
    return {
      status: unhealthy.length > 0 ? 'unhealthy' : degraded.length > 0 ? 'degraded' : 'healthy',
      reasons: [...unhealthy, ...degraded],
      advice: [
        ...(lacksShutdownTimeout ? [SHUTDOWN_TIMEOUT_ADVICE] : []),
        ...implicitDefaultServers(snapshot.host.servers, host.settings.NGINX_HTTP_PORT).map(
          ({ file, line }) =>
            `the server block in ${file}, line ${line}, takes unknown names only if its listen says default_server: the catch-all refuses them now`,
        ),
      ],
      nginx: {
        present: facts.present,
        version: facts.versionText,
        running,
        includes_sites_enabled: isIncluded,
        config_test_ok: state.lastTest?.ok ?? null,
        config_test_timestamp: state.lastTest === undefined ? null : new Date(state.lastTest.atMs).toISOString(),
        last_reload_timestamp: lastReload?.timestamp ?? null,
        last_reload_result: lastReload?.result ?? null,
        generation: snapshot.shared?.generation ?? null,
      },
      ssl: {
        certbot_present: certbotPresent,
        last_operation: lastCertificate?.result ?? null,
        last_operation_timestamp: lastCertificate?.timestamp ?? null,
        last_operation_domain: lastCertificate?.domain ?? null,
        last_operation_reason: lastCertificate?.reason ?? null,
      },
      folders,
      routes: {
        total: routes.length,
        active: named('active').length,
        pending_ssl: named('pending_ssl').length,
        drifted,
        disabled,
      },
    }
  }
}

/** A hand-written block that has taken a route's domain since: NGINX only warns, and one of the two gets nothing. */
function lostDomain({ record }: SnapshotRoute, { host, context }: Snapshot): string[] {
  return namesOf(record).flatMap((name) => {
    const owner = ownerOf(name, host.servers, [context.httpPort, context.httpsPort])
    if (owner === undefined) return []
    return [
      `${name} of route ${record.droplet_name} also stands in ${owner.file}, line ${owner.line}: remove it from one of them`,
    ]
  })
}

/** What is wrong with the certificate that a route serves. */
function certificateFault({ record }: SnapshotRoute, nowMs: number): string[] {
  const { certificate, droplet_name: name } = record
  if (certificate === null) return []
  const call = `POST /proxies/${name}/ssl, or look why certbot's timer does not renew it`
  if (Date.parse(certificate.expiry) <= nowMs) return [`the certificate of ${name} has expired: ${call}`]
  return isOverdueForRenewal(certificate, nowMs)
    ? [`the certificate of ${name} runs out on ${certificate.expiry} and was not renewed: ${call}`]
    : []
}

/** The last order, where it failed and a route still needs what it was for. */
function failedOrder(last: LastCertificate | undefined, routes: readonly SnapshotRoute[]): string[] {
  const isWanted = routes.some(({ record }) => record.enable_ssl && record.domain === last?.domain)
  return last?.result === 'failure' && isWanted
    ? [`the last certificate order, for ${last.domain}, failed: ${last.reason}`]
    : []
}

function firstLine(text: string): string {
  return (
    text.split('\n').find((line) => line.includes('[emerg]') || line.includes('[warn]')) ?? text.split('\n')[0] ?? ''
  )
}
