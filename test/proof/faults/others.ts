/** Interference with NGINX during changes: certbot's reloads, an operator's edits, logrotate's signal, a package upgrade. */
import { appendFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { NginxInstance } from '../../../fixtures/nginx-instance.ts'
import { putRoute, type RealHost, startHost, through } from '../../helpers/system/host.ts'
import type { Findings } from '../findings.ts'
import { disagreement, leftovers, refusedByNginx, served } from '../host-promises.ts'
import type { FaultsPart } from './bounds.ts'

/** Each interferes once, at a random moment. */
const INTERFERENCES: Readonly<Record<string, (nginx: NginxInstance, round: number) => Promise<void>>> = {
  'a reload by certbot': async ({ masterPid = 0 }) => {
    for (let i = 0; i < 3; i++) {
      await setTimeout(Math.random() * 80)
      process.kill(masterPid, 'SIGHUP')
    }
  },
  'an edit by the operator': async ({ root, masterPid = 0, httpsPort }, round) => {
    const block = `server { listen 127.0.0.1:${httpsPort}; server_name by-hand-${round}.test; return 204; }\n`
    writeFileSync(join(root, 'conf.d/by-hand.conf'), block)
    await setTimeout(Math.random() * 150)
    process.kill(masterPid, 'SIGHUP')
  },
  'a rotation of the log': async ({ errorLog, masterPid = 0 }) => {
    appendFileSync(errorLog, 'an old line\n'.repeat(1000))
    await setTimeout(Math.random() * 100)
    renameSync(errorLog, `${errorLog}.1`)
    process.kill(masterPid, 'SIGUSR1')
  },
  'an upgrade of the package': async (nginx) => {
    await setTimeout(Math.random() * 150)
    const upgrade = await nginx.beginUpgrade()
    // Debian's script waits for a second, then ends the old master.
    await setTimeout(Math.random() * 1000)
    await upgrade.finish()
  },
}
/** No change may be delayed by as much as the limit for a confirmation. */
const SLOWEST_MS = 9000

interface Round {
  changes: number
  slowestMs: number
  readonly violations: string[]
}

export const others: FaultsPart = {
  title: 'others reload, edit, rotate and upgrade at the same time',
  run: async ({ rounds }, stopped) => {
    const host = await startHost({ daemon: true })
    try {
      const ports = [(await host.droplet('even')).port, (await host.droplet('odd')).port]
      const stable = await host.droplet('stable')
      await putRoute(host.manager, 'stable', 'stable.example.com', stable.port)
      const found: Round = { changes: 0, slowestMs: 0, violations: [] }
      for (let round = 0; round < rounds; round++) {
        for (const [what, interfere] of Object.entries(INTERFERENCES)) {
          stopped.throwIfAborted()
          await changeMeanwhile(host, ports, found, what, interfere(host.nginx, round))
        }
      }
      await putRoute(host.manager, 'stable', 'stable.example.com', stable.port)
      found.violations.push(...leftovers(host.nginx), ...refusedByNginx(host.nginx))
      return summarize(rounds, found)
    } finally {
      await host.close()
    }
  },
}

/** Changes one route during the interference, and once more; after each answer nobody may see the previous state. */
async function changeMeanwhile(
  host: RealHost,
  ports: readonly number[],
  found: Round,
  what: string,
  interfering: Promise<void>,
): Promise<void> {
  let isOver = false
  const over = interfering.finally(() => {
    isOver = true
  })
  let isLast = false
  while (!isLast) {
    isLast = isOver
    const parity = found.changes++ % 2
    const started = performance.now()
    const { status, body } = await putRoute(host.manager, 'app', 'app.example.com', ports[parity] ?? 0)
    found.slowestMs = Math.max(found.slowestMs, performance.now() - started)
    if (status >= 300) found.violations.push(`${what}: ${status} ${JSON.stringify(body.error)}`)
    const wanted = parity === 0 ? 'even' : 'odd'
    const seen = await Promise.all(Array.from({ length: 40 }, () => through(host.nginx.httpPort, 'app.example.com')))
    const wrong = seen.filter((name) => name !== wanted)
    if (status < 300 && wrong.length > 0) found.violations.push(`${what}: ${wrong.length} of 40 saw ${wrong[0]}`)
    const stable = await served(host, 'stable.example.com')
    if (stable !== 'stable') found.violations.push(`${what}: the other route serves ${stable}`)
  }
  await over
  for (const words of await disagreement(host, 'app', 'app.example.com')) found.violations.push(`${what}: ${words}`)
}

function summarize(rounds: number, { changes, slowestMs, violations }: Round): Findings {
  return {
    figures: [
      { what: 'interferences of each of four kinds', value: rounds },
      { what: 'changes meanwhile', value: changes },
      { what: 'slowest change, in ms', value: Math.round(slowestMs), atMost: SLOWEST_MS },
      { what: 'broken promises', value: violations.length, atMost: 0 },
    ],
    violations,
  }
}
