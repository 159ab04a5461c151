/**
 * Installs on machines that have nothing yet, as the manual says, and prints a table.
 *
 *     npm run test:install -- [--only fresh,service,image] [--releases bookworm,trixie]
 *
 * `fresh`: the README's first steps on a bare Debian. `service`: the installation in a booted systemd. `image`: the image of the Dockerfile,
 * built and run. The machines are debootstrapped roots below PROXY_MANAGER_INSTALL_CACHE (default: proxy-manager-install in the directory for
 * temporary files). They run in namespaces of their own, which end with this process, and so does everything in them.
 * The exit status is 1 if something does not hold, or cannot be tried here.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { tryFreshMachine } from './fresh.ts'
import { tryImage } from './image.ts'
import { createReport } from './report.ts'
import { tryService } from './service.ts'
import { createShell } from './shell.ts'

/** Names the directory for what is removed after this run, in the environment of the program inside. */
const WORK = 'PROXY_MANAGER_INSTALL_WORK'
const NEEDS: Readonly<Record<string, readonly string[]>> = {
  fresh: [],
  service: ['systemd-nspawn', 'nsenter', 'openssl'],
  image: ['buildah', 'nsenter', 'pebble', 'openssl'],
}

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: Object.keys(NEEDS).join(',') },
    releases: { type: 'string', default: 'bookworm,trixie' },
  },
})
const report = createReport()
const parts = values.only.split(',')
if (process.getuid?.() !== 0) {
  for (const part of parts) report.failed(part, new Error('missing: root'))
  report.print()
  process.exit(1)
}
const cache = process.env.PROXY_MANAGER_INSTALL_CACHE ?? join(tmpdir(), 'proxy-manager-install')
const work = process.env[WORK]
if (work === undefined) process.exit(await runInNamespaces())

const clone = fileURLToPath(new URL('../../', import.meta.url))
const place = { clone, cache, work }
const releases = values.releases.split(',')

for (const part of parts) {
  const needs = NEEDS[part]
  const missing = ['unshare', 'debootstrap', 'ip', ...(needs ?? [])].filter((program) => !isInstalled(program))
  if (needs === undefined || missing.length > 0) {
    report.failed(part, new Error(needs === undefined ? 'there is no such part' : `missing: ${missing.join(', ')}`))
    continue
  }
  if (part === 'fresh')
    for (const release of releases)
      for (const user of ['root', 'user'])
        await attempt(`fresh-${release}-${user}`, (shell) => tryFreshMachine(shell, report, place, release, user))
  // One machine has run the sandbox before.
  if (part === 'service')
    for (const release of releases)
      await attempt(`service-${release}`, (shell) => tryService(shell, report, place, release, release !== releases[0]))
  if (part === 'image') await attempt('image', (shell) => tryImage(shell, report, place, releases.at(-1) ?? 'trixie'))
}
process.exit(report.print() ? 0 : 1)

/** A part that fails has reported why; the others continue. */
async function attempt(name: string, run: (shell: ReturnType<typeof createShell>) => Promise<void>): Promise<void> {
  const log = join(cache, 'logs', `${name}.log`)
  rmSync(log, { force: true })
  try {
    await run(createShell(log))
  } catch (error) {
    report.failed(name, error)
    process.stdout.write(`  its log is ${log}\n`)
  }
}

/** This program again, in namespaces that end with it, and so do its mounts. */
async function runInNamespaces(): Promise<number> {
  mkdirSync(join(cache, 'logs'), { recursive: true })
  const folder = mkdtempSync(join(cache, 'work-'))
  const command = [process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  const options = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--propagation', 'private']
  const [file = '', ...args] = isInstalled('unshare') ? ['unshare', ...options, ...command] : command
  const child = spawn(file, args, { stdio: 'inherit', env: { ...process.env, [WORK]: folder } })
  // npm forwards a signal that the terminal has sent to both.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill('SIGKILL'))
  const [status] = await once(child, 'exit')
  // Some of its processes may end a moment after the first one.
  rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 })
  return status ?? 1
}

function isInstalled(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
