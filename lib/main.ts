/** The composition root: environment -> host -> engine -> API. On a signal it exits after the calls in flight. */

import { createApp } from '../functions/index.ts'
import packageJson from '../package.json' with { type: 'json' }
import { readWholeFile } from './adapters/files.ts'
import { hostResources, keepHeapSmall, saveCompiledCode } from './adapters/resources.ts'
import { createApiServer } from './api-server.ts'
import { certbotFault } from './certbot/version.ts'
import { createEngine } from './engine/create-engine.ts'
import { usageCounter } from './health/usage.ts'
import type { Host } from './host/host.ts'
import { describeListenFault } from './http/listener/listen-failure.ts'
import { closeHttpServer, listenOn } from './http/listener/listener.ts'
import type { Deps } from './http/operation.ts'
import { pageReader } from './http/page/page-files.ts'
import { meshMember } from './mesh/member.ts'
import { webhook } from './mesh/webhook.ts'
import { nginxFactsReader } from './nginx/binary.ts'
import { type Environment, type HostFault, openHost } from './open-host.ts'
import { untestableNetworks } from './render/forwarded.ts'
import { startAnnouncements, startTimers } from './timers.ts'

/** How long calls in flight may take after SIGTERM; a change is finished or rolled back by then. */
const DRAIN_MS = 20_000

/** What others mean by these signals, such as logrotate or NGINX's users, and what to do instead. */
const IGNORED_SIGNALS = {
  SIGHUP: 'settings are read at a start only: restart the service to apply them',
  SIGUSR1: 'there is no log file to reopen: the log is standard output',
  SIGUSR2: 'there is no upgrade without a restart: restart the service',
} as const

/** sysexits.h: a fault in the settings, which a restart does not fix; and a temporary one. */
const EX_CONFIG = 78
const EX_TEMPFAIL = 75

/** Proxy Manager on this host, recovered and with its timers running. */
export interface Service {
  /** What handlers get: `createApp(() => service.deps)`. */
  readonly deps: Deps
  readonly host: Host
  /** Registers with the Registry and starts heartbeats to the Orchestrator, if they are configured: to be called once the API listens. */
  joinMesh(): void
  /** Stops the timers, runs `drain` (which ends the calls in flight), waits for running changes, releases the lock. A second call waits for the first. */
  close(drain?: () => Promise<void>): Promise<void>
}

/** Why the service cannot start: a sentence, and the exit status for it. */
export interface StartFailure {
  readonly fault: string
  readonly exitStatus: number
}

/** Locks this host, recovers it and starts the timers, or returns why it cannot. Does not listen. */
export async function startService(environment: Environment): Promise<Service | StartFailure> {
  const opened = await openHost(environment, process.stdout)
  if ('fault' in opened) return startFailure(opened)
  const { host, lock } = opened
  if ('heldBy' in lock) {
    const folder = host.settings.PROXY_MANAGER_STATE_DIR
    const fault = `the state directory ${folder} is in use by ${lock.heldBy}: stop it first`
    return startFailure({ fault, isTransient: true })
  }

  const unusable = (await untrustableProxies(host)) ?? (await certbotFault(host))
  if (unusable !== undefined) {
    await lock.release()
    return startFailure(unusable)
  }
  const engine = createEngine(host)
  await engine.recover()
  const { version } = packageJson
  // Before the first event of this start, which it sends.
  const hook = webhook(host, engine.events)
  const origin = { actor: { kind: 'local' } } as const
  await engine.events.add({ type: 'manager.started', origin, details: { version } })
  const { settings, log, clock, metrics } = host
  const usage = usageCounter(clock)
  const page = pageReader(readWholeFile)
  const deps = { version, usage, resources: hostResources(), settings, engine, log, clock, metrics, page }
  const { readHealth } = engine
  const mesh = meshMember(host, { version, readHealth, uptimeSeconds: () => usage.read().uptimeSeconds })
  const timers = startTimers(host, engine)
  const end: Service['close'] = async (drain) => {
    for (const timer of timers) clearInterval(timer)
    engine.endWaits()
    // They would keep the server open.
    engine.streams.close()
    await Promise.all([drain?.(), mesh.idle(), hook.stop()])
    await engine.idle()
    await engine.saveRenderedMark()
    // What still runs, certbot or a sync, must not change this host after another process has locked it.
    engine.close()
    await engine.events.add({ type: 'manager.stopped', origin })
    await engine.idle()
    // A running certbot ends by itself; the next start adopts its certificate.
    host.runner.detachRunning()
    await lock.release()
  }
  let ended: Promise<void> | undefined
  return {
    deps,
    host,
    joinMesh: () => void timers.push(...startAnnouncements(host, mesh, hook)),
    close: (drain) => (ended ??= end(drain)),
  }
}

/** What cannot be read now is no fault: nothing is trusted that cannot be compared, and health says so. */
async function untrustableProxies(host: Host): Promise<HostFault | undefined> {
  const { TRUSTED_PROXIES: proxies } = host.settings
  const facts = proxies.length === 0 ? undefined : await nginxFactsReader(host)().catch(() => undefined)
  const fault = facts === undefined ? undefined : untestableNetworks(proxies, facts)
  return fault === undefined ? undefined : { fault, isTransient: false }
}

/** The API as a process: listens until SIGTERM, SIGINT or SIGQUIT; no other signal ends it. If it cannot start, it writes why to standard error and sets the exit status. */
export async function serve(environment: Environment): Promise<void> {
  let running: Deps | undefined
  // Without a listener they would end the process, and SIGUSR1 open Node's debugger.
  for (const [signal, cause] of Object.entries(IGNORED_SIGNALS))
    process.on(signal, () =>
      running?.log.write('warn', { action: 'signal', result: 'failure', outcome: 'ignored', signal, cause }),
    )
  ignoreExperimentalWarnings()
  const service = await startService(environment)
  if ('fault' in service) return reportStartFailure(service)
  keepHeapSmall()

  const { deps } = service
  running = deps
  const { settings, log } = deps
  const server = createApiServer(
    deps,
    createApp(() => deps),
  )
  const { PROXY_MANAGER_HOST: host, PROXY_MANAGER_PORT: port } = settings
  server.once('error', (error: NodeJS.ErrnoException) => {
    void service.close()
    reportStartFailure(startFailure(describeListenFault(error.code ?? 'UNKNOWN', host, port)))
  })
  server.once('listening', () => {
    const { PROXY_MANAGER_STATE_DIR } = settings
    log.write('info', { action: 'start', result: 'success', host, port, state_folder: PROXY_MANAGER_STATE_DIR })
    service.joinMesh()
    saveCompiledCode()
  })
  listenOn(server, host, port)

  const stop = async (): Promise<void> => {
    log.write('info', { action: 'stop', result: 'started' })
    await service.close(() => closeHttpServer(server, DRAIN_MS))
    log.write('info', { action: 'stop', result: 'success' })
    await log.flush()
  }
  let isStopping = false
  // A terminal signals both npm and this process, and npm forwards its own: a second signal must not cut off the calls in flight.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const)
    process.on(signal, () => {
      if (!isStopping) void stop()
      isStopping = true
    })
}

/** In a clone, the page's sources are served without their types, which Node calls experimental. It is no matter for the log. */
function ignoreExperimentalWarnings(): void {
  process.removeAllListeners('warning')
  process.on('warning', ({ name, message }) => {
    if (name !== 'ExperimentalWarning') process.stderr.write(`${name}: ${message}\n`)
  })
}

function startFailure({ fault, isTransient }: HostFault): StartFailure {
  return { fault, exitStatus: isTransient ? EX_TEMPFAIL : EX_CONFIG }
}

function reportStartFailure({ fault, exitStatus }: StartFailure): void {
  process.stderr.write(`proxy-manager: ${fault}\n`)
  process.exitCode = exitStatus
}

export { createApiServer } from './api-server.ts'
export { type Recovery, readUnitHost, recoverOnce } from './recover-once.ts'
