/** The composition root: environment -> host -> engine -> API; ends when it is told to, after the calls in flight. */
import { createServerAdapter } from '@whatwg-node/server'
import { createApp } from '../functions/index.ts'
import packageJson from '../package.json' with { type: 'json' }
import { hostFiles } from './adapters/files.ts'
import { repeat } from './adapters/repeat.ts'
import { hostResources, keepHeapSmall } from './adapters/resources.ts'
import { hostRunner } from './adapters/runner.ts'
import { ProxyManagerError } from './core/errors.ts'
import type { Settings } from './core/settings.ts'
import { createEngine } from './engine/create-engine.ts'
import type { Engine } from './engine/engine.ts'
import { type Host, statePaths } from './engine/host.ts'
import { type MeshMember, meshMember } from './engine/mesh-member.ts'
import { nginxFactsReader } from './engine/nginx-facts.ts'
import { type Deps, NO_OPERATION } from './http/endpoint.ts'
import { closeHttpServer, createHttpServer, describeListenFault, listenOn } from './http/listener.ts'
import { failureFields } from './http/log-fields.ts'
import { usageCounter } from './http/usage.ts'
import { type Environment, openHost } from './open-host.ts'

/** How long calls in flight may take after SIGTERM; a change has ended or been undone by then. */
const DRAIN_MS = 20_000
const NOTICE_EVERY_MS = 1000
const ORDER_EVERY_MS = 30_000
const RESTORE_EVERY_MS = 10_000
const LOOK_EVERY_MS = 1000
const BEAT_EVERY_MS = 60_000
/** How long a change of the API's may be under way while another process waits for its end. */
const CHANGE_MS = 15_000

/** sysexits.h: a fault in the settings, which a restart does not mend; and one that may be gone the next time. */
const EX_CONFIG = 78
const EX_TEMPFAIL = 75

/** Proxy Manager at work on this host, recovered and with its timers running. */
export interface Service {
  /** What handlers are given: `createApp(() => service.deps)`. */
  readonly deps: Deps
  readonly host: Host
  /** Registers with the Registry and begins to tell the Orchestrator, where the settings say so: for when the API is listened to. */
  joinMesh(): void
  /** Ends it: timers, then `drain` (where calls in flight end), then the changes that run, then the lock. A second call waits for the first. */
  close(drain?: () => Promise<void>): Promise<void>
}

export interface Refusal {
  readonly fault: string
  readonly exitStatus: number
}

/** Takes this host, or says why not; for a process that listens by itself. */
export async function startService(environment: Environment): Promise<Service | Refusal> {
  const opened = await openHost(environment, process.stdout)
  if ('fault' in opened) return refusal(opened)
  const { host, lock } = opened
  if ('heldBy' in lock) {
    const folder = host.settings.PROXY_MANAGER_STATE_DIR
    return refusal({ fault: `the state folder ${folder} is in use by ${lock.heldBy}: stop it first`, mayPass: true })
  }

  const engine = createEngine(host)
  await engine.recover()
  const { settings, log, clock } = host
  const usage = usageCounter(clock)
  const { version } = packageJson
  const deps = { version, usage, resources: hostResources(), settings, engine, log, clock }
  const { readHealth } = engine
  const mesh = meshMember(host, { version, readHealth, uptimeSeconds: () => usage.read().uptimeSeconds })
  const timers = startTimers(host, engine)
  const end: Service['close'] = async (drain) => {
    for (const timer of timers) clearInterval(timer)
    await Promise.all([drain?.(), mesh.idle()])
    await engine.idle()
    // What still runs, a certbot or a sync, must not change this host after another process has taken it.
    engine.close()
    await engine.idle()
    // A certbot that is still at it ends by itself; the next start brings in what it got.
    host.runner.abandon()
    await lock.release()
  }
  let ended: Promise<void> | undefined
  return {
    deps,
    host,
    joinMesh: () => void timers.push(...startTelling(host, mesh)),
    close: (drain) => (ended ??= end(drain)),
  }
}

/**
 * An HTTP server around an app of these handlers, which does what a Fetch handler cannot: it cuts slow and endless callers off, takes no more of
 * them than it can hold, refuses what is no request, and slows guesses at tokens.
 */
export function createApiServer(
  { usage, engine, log, clock }: Deps,
  app: (request: Request) => Promise<Response>,
): ReturnType<typeof createHttpServer> {
  return createHttpServer(createServerAdapter(app), {
    randomId: clock.randomId,
    monotonicMs: clock.monotonicMs,
    onFailure: (error, correlationId) =>
      log.write('error', {
        action: 'listen',
        result: 'failure',
        correlation_id: correlationId,
        cause: error instanceof Error ? error.message : String(error),
      }),
    onRefusal: ({ error, status, correlationId, durationMs }) => {
      usage.record(status)
      engine.metrics.request(NO_OPERATION, status, durationMs)
      // Who is locked out has had a line for it, and would fill the log; what is no refusal of ours is told by `onFailure`.
      if (error instanceof ProxyManagerError && error.code !== 'TOO_MANY_ATTEMPTS')
        log.write('warn', { action: 'refuse', correlation_id: correlationId, status, ...failureFields(error) })
    },
    onLockOut: (address) => log.write('warn', { action: 'lock_out', result: 'started', address }),
  })
}

/** The API as a process: listens until SIGTERM or SIGINT. Where it cannot start it says so on standard error, and sets the exit status. */
export async function serve(environment: Environment): Promise<void> {
  const service = await startService(environment)
  if ('fault' in service) return refuseStart(service)
  keepHeapSmall()

  const { deps } = service
  const { settings, log } = deps
  const server = createApiServer(
    deps,
    createApp(() => deps),
  )
  const { PROXY_MANAGER_HOST: host, PROXY_MANAGER_PORT: port } = settings
  server.once('error', (error: NodeJS.ErrnoException) => {
    void service.close()
    refuseStart(refusal(describeListenFault(error.code ?? 'UNKNOWN', host, port)))
  })
  server.once('listening', () => {
    const { PROXY_MANAGER_STATE_DIR } = settings
    log.write('info', { action: 'start', result: 'success', host, port, state_folder: PROXY_MANAGER_STATE_DIR })
    service.joinMesh()
  })
  listenOn(server, host, port)

  const stop = async (): Promise<void> => {
    log.write('info', { action: 'stop', result: 'started' })
    await service.close(() => closeHttpServer(server, DRAIN_MS))
    log.write('info', { action: 'stop', result: 'success' })
    await log.flush()
  }
  let isStopping = false
  // A terminal signals npm and this process alike, and npm passes its own on: a second signal must not cut the calls in flight off.
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      if (!isStopping) void stop()
      isStopping = true
    })
}

/** What is left undone, in the names of the steps; nothing, where the running API sees to it. */
export type Recovery =
  | { readonly undone: readonly string[]; readonly seenToBy?: string }
  | { readonly fault: string; readonly mayPass: boolean }

/**
 * Runs start-up recovery alone, before NGINX starts. Where the API runs, it has recovered already: then only a change that is under way is
 * waited for, so that NGINX never reads half of one. Log lines go to standard error.
 */
export async function recoverOnce(environment: Environment): Promise<Recovery> {
  const opened = await openHost(environment, process.stderr)
  if ('fault' in opened) return opened
  const { host, lock } = opened
  if ('heldBy' in lock) {
    const { journal } = statePaths(host.settings)
    const isUnderWay = () => host.files.read(journal) !== undefined
    const until = host.clock.monotonicMs() + CHANGE_MS
    while (isUnderWay() && host.clock.monotonicMs() < until) await host.clock.sleep(100)
    return { undone: isUnderWay() ? ['recover_journal'] : [], seenToBy: lock.heldBy }
  }
  const engine = createEngine(host)
  const undone = await engine.recover()
  await engine.idle()
  await lock.release()
  await host.log.flush()
  return { undone }
}

/** NGINX's main configuration, where its binary or a setting names one. */
export async function findNginxConfiguration(
  settings: Settings,
  environment: Environment,
): Promise<string | undefined> {
  const readFacts = nginxFactsReader({ settings, files: hostFiles(), runner: hostRunner(environment) })
  return (await readFacts()).confPath
}

/** What happens without a call: renewals are noticed, and certificates ordered where the operator wants it. */
function startTimers({ settings, log }: Host, engine: Engine): NodeJS.Timeout[] {
  const every = repeater(log)
  const { certificates } = engine
  const renewEveryMs = settings.SSL_RENEW_INTERVAL_HOURS * 3_600_000
  return [
    every(NOTICE_EVERY_MS, 'notice_renewals', certificates.notice),
    every(RESTORE_EVERY_MS, 'retry_restore', engine.retryRestore),
    ...(settings.SSL_AUTO_ISSUE ? [every(ORDER_EVERY_MS, 'issue_pending', certificates.issuePending)] : []),
    ...(settings.REGISTRY_SYNC_INTERVAL_S > 0
      ? [every(settings.REGISTRY_SYNC_INTERVAL_S * 1000, 'sync_from_registry', () => syncQuietly(engine))]
      : []),
    ...(renewEveryMs > 0 ? [every(renewEveryMs, 'renew_due', certificates.renewDue)] : []),
  ]
}

/** What the mesh is told: at once, and then from time to time. */
function startTelling({ settings, log }: Host, mesh: MeshMember): readonly NodeJS.Timeout[] {
  const every = repeater(log)
  const { REGISTRY_REGISTER, ORCHESTRATOR_URL } = settings
  void mesh.register()
  void mesh.beat()
  return [
    ...(REGISTRY_REGISTER ? [every(LOOK_EVERY_MS, 'register', mesh.register)] : []),
    ...(ORCHESTRATOR_URL === undefined ? [] : [every(BEAT_EVERY_MS, 'heartbeat', mesh.beat)]),
  ]
}

/** Runs a job again and again, one at a time; what it throws is logged. */
function repeater(log: Host['log']) {
  return (ms: number, action: string, job: () => Promise<void>): NodeJS.Timeout =>
    repeat(ms, job, ({ message }) => log.write('error', { action, result: 'failure', cause: message }))
}

/** A sync that nobody asked for deletes nothing. */
async function syncQuietly(engine: Engine): Promise<void> {
  await engine.syncFromRegistry({
    dryRun: false,
    prune: false,
    confirm: undefined,
    requireHealthy: false,
    enableSsl: undefined,
  })
}

function refusal({ fault, mayPass }: { readonly fault: string; readonly mayPass: boolean }): Refusal {
  return { fault, exitStatus: mayPass ? EX_TEMPFAIL : EX_CONFIG }
}

function refuseStart({ fault, exitStatus }: Refusal): void {
  process.stderr.write(`proxy-manager: ${fault}\n`)
  process.exitCode = exitStatus
}
