/** The floor: the least that a change can cost, which is NGINX's own time for one test and one confirmed reload. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { NGINX_BIN, type NginxInstance } from '../../fixtures/nginx-instance.ts'
import { hostProcesses } from '../../lib/adapters/processes.ts'
import { workersOf } from '../helpers/system/workers.ts'

const POLL_MS = 2
const LIMIT_MS = 30_000
const processes = hostProcesses()

/** Times a bare `nginx -t`, then SIGHUP, then the wait until no old worker accepts connections, in milliseconds. */
export async function measureFloor(
  nginx: NginxInstance,
): Promise<{ readonly testMs: number; readonly floorMs: number }> {
  const started = performance.now()
  const [exitCode] = await once(spawn(NGINX_BIN, ['-t', '-c', nginx.conf], { stdio: 'ignore' }), 'exit')
  if (exitCode !== 0) throw new Error(`nginx -t ended with ${exitCode}`)
  const testMs = performance.now() - started
  const { masterPid } = nginx
  if (masterPid === undefined) throw new Error('NGINX does not run')
  const old = workersOf(nginx)
  processes.sendHup(masterPid)
  await retired(old)
  return { testMs, floorMs: performance.now() - started }
}

/** Resolves once none of these workers accepts connections. */
export async function retired(workers: readonly number[]): Promise<void> {
  const deadline = performance.now() + LIMIT_MS
  while (workers.some((pid) => processes.workerState(pid) === 'accepting')) {
    if (performance.now() > deadline) throw new Error('the old workers still accept connections')
    await setTimeout(POLL_MS)
  }
}
