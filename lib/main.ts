/** The composition root: environment -> settings -> adapters -> engine -> API; ends when it is told to, after the calls in flight. */
import { createServerAdapter } from '@whatwg-node/server'
import { createApp } from '../functions/index.ts'
import packageJson from '../package.json' with { type: 'json' }
import { hostClock } from './adapters/clock.ts'
import { hostFiles } from './adapters/files.ts'
import { hostLock } from './adapters/lock.ts'
import { hostLog } from './adapters/log.ts'
import { promMetrics } from './adapters/metrics.ts'
import { hostNetwork } from './adapters/network.ts'
import { hostProbe } from './adapters/probe.ts'
import { hostProcesses } from './adapters/processes.ts'
import { hostResources } from './adapters/resources.ts'
import { hostRunner } from './adapters/runner.ts'
import { describeSettings, parseSettings, type Settings, withTokenFiles } from './core/settings.ts'
import { createEngine, type Engine } from './engine/engine.ts'
import { type Host, makeStateFolders, statePaths } from './engine/host.ts'
import { closeHttpServer, createHttpServer } from './http/listener.ts'
import { usageCounter } from './http/usage.ts'

/** How long calls in flight may take after SIGTERM; a change has ended or been undone by then. */
const DRAIN_MS = 20_000
const NOTICE_EVERY_MS = 1000
const ORDER_EVERY_MS = 30_000

async function main(): Promise<void> {
  if (process.argv.includes('--help')) {
    process.stdout.write(helpText())
    return
  }
  const files = hostFiles()
  const parsed = parseSettings(withTokenFiles(process.env, (path) => files.read(path)?.text))
  if ('faults' in parsed) return refuseStart(parsed.faults.join('; '))

  const clock = hostClock()
  const log = hostLog(parsed.LOG_LEVEL, process.stdout, clock.nowMs)
  const settings = await settleStateFolder(parsed, files)
  if (settings === undefined)
    return refuseStart(`PROXY_MANAGER_STATE_DIR: ${parsed.PROXY_MANAGER_STATE_DIR} cannot be written`)
  const host: Host = {
    settings,
    files,
    clock,
    log,
    runner: hostRunner(process.env),
    probe: hostProbe(),
    processes: hostProcesses(),
    network: hostNetwork(),
    metrics: promMetrics(),
  }
  const lock = await hostLock().take(await lockName(host))
  if ('heldBy' in lock)
    return refuseStart(
      `the state folder ${settings.PROXY_MANAGER_STATE_DIR} is in use by ${lock.heldBy}: stop it first`,
    )

  const engine = createEngine(host)
  await engine.recover()
  const service = { version: packageJson.version, usage: usageCounter(clock), resources: hostResources() }
  const app = createApp(() => ({ ...service, settings, engine, log, clock }))
  const server = createHttpServer(createServerAdapter(app), {
    randomId: clock.randomId,
    onFailure: (error, correlationId) =>
      log.write('error', {
        action: 'listen',
        result: 'failure',
        correlation_id: correlationId,
        cause: error instanceof Error ? error.message : String(error),
      }),
  })
  server.once('error', (error: NodeJS.ErrnoException) => {
    void lock.release()
    refuseStart(
      `PROXY_MANAGER_PORT: ${settings.PROXY_MANAGER_HOST}:${settings.PROXY_MANAGER_PORT} cannot be listened on (${error.code})`,
    )
  })
  server.listen(settings.PROXY_MANAGER_PORT, settings.PROXY_MANAGER_HOST, () =>
    log.write('info', {
      action: 'start',
      result: 'success',
      host: settings.PROXY_MANAGER_HOST,
      port: settings.PROXY_MANAGER_PORT,
    }),
  )

  const timers = startTimers(host, engine)
  const stop = async (): Promise<void> => {
    log.write('info', { action: 'stop', result: 'started' })
    for (const timer of timers) clearInterval(timer)
    await closeHttpServer(server, DRAIN_MS)
    await engine.idle()
    // A certbot that is still at it ends by itself; the next start brings in what it got.
    host.runner.abandon()
    await lock.release()
    log.write('info', { action: 'stop', result: 'success' })
    await log.flush()
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void stop())
}

/** What happens without a call: renewals are noticed, and certificates ordered where the operator wants it. */
function startTimers({ settings, log }: Pick<Host, 'settings' | 'log'>, engine: Engine): readonly NodeJS.Timeout[] {
  const every = (ms: number, action: string, job: () => Promise<void>) =>
    setInterval(() => {
      job().catch((error: Error) => log.write('error', { action, result: 'failure', cause: error.message }))
    }, ms)
  const { certificates } = engine
  const renewEveryMs = settings.SSL_RENEW_INTERVAL_HOURS * 3_600_000
  return [
    every(NOTICE_EVERY_MS, 'notice_renewals', certificates.notice),
    ...(settings.SSL_AUTO_ISSUE ? [every(ORDER_EVERY_MS, 'issue_pending', certificates.issuePending)] : []),
    ...(settings.REGISTRY_SYNC_INTERVAL_S > 0
      ? [every(settings.REGISTRY_SYNC_INTERVAL_S * 1000, 'sync_from_registry', () => syncQuietly(engine))]
      : []),
    ...(renewEveryMs > 0 ? [every(renewEveryMs, 'renew_due', certificates.renewDue)] : []),
  ]
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

/** The configured state folder; the user's own where that is the default and cannot be written. */
async function settleStateFolder(parsed: Settings, files: Host['files']): Promise<Settings | undefined> {
  const { XDG_STATE_HOME, HOME, PROXY_MANAGER_STATE_DIR } = process.env
  const own = XDG_STATE_HOME ?? (HOME === undefined ? undefined : `${HOME}/.local/state`)
  const folders = [
    parsed.PROXY_MANAGER_STATE_DIR,
    ...(PROXY_MANAGER_STATE_DIR === undefined && own !== undefined ? [`${own}/proxy-manager`] : []),
  ]
  for (const folder of folders) {
    const settings = { ...parsed, PROXY_MANAGER_STATE_DIR: folder }
    try {
      await makeStateFolders({ settings, files })
      return settings
    } catch {
      // The next folder, or none.
    }
  }
  return undefined
}

/** A secret of the state folder: who cannot read it cannot take its lock in advance. */
async function lockName({ settings, files, clock }: Host): Promise<string> {
  const path = statePaths(settings).lockId
  const found = files.read(path)?.text
  if (found !== undefined && found !== '') return found
  await files.writeScratch(path, clock.randomId(), 0o600)
  return files.read(path)?.text ?? ''
}

function refuseStart(reason: string): void {
  process.stderr.write(`proxy-manager: ${reason}\n`)
  process.exitCode = 78
}

function helpText(): string {
  const settings = describeSettings().map(
    ({ name, fallback, help }) => `  ${name}${fallback === '' ? '' : ` (${fallback})`}\n      ${help}`,
  )
  return `proxy-manager: an HTTP API for NGINX and certbot on this host\n\nSettings (environment variables):\n${settings.join('\n')}\n`
}

await main()
