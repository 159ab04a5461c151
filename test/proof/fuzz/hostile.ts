/** Slow, numerous or endless callers, and a hostile Registry and upstreams; meanwhile GET /health is timed. */
import { readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { type LoopbackServer, startServer } from '../../../fixtures/loopback-server.ts'
import { putRoute, type RealHost, startHost } from '../../helpers/system/host.ts'
import type { Figure, Findings } from '../findings.ts'
import { leftovers, refusedByNginx } from '../host-promises.ts'
import type { FuzzPart } from './bounds.ts'
import { HOSTILE_CALLERS, sufferCallers } from './hostile-callers.ts'
import { type Behaviour, HOSTILE_PEERS, sufferRegistry, sufferUpstreams } from './hostile-peers.ts'
import { processorMs, startPulse } from './pulse.ts'

const HEALTH_MS = 100
const GROWTH_MIB = 256

interface Measured {
  readonly what: string
  readonly p99Ms: number
  readonly ownP99Ms: number
  readonly slowestMs: number
  readonly calls: number
  /** Percentages of the time in which the API ran, and in which it waited for a processor. */
  readonly ran: number
  readonly waited: number
  /** After it was over. */
  readonly residentMib: number
}

export const hostile: FuzzPart = {
  title: 'slow, numerous or endless callers and peers, while health is queried',
  run: async (bounds, stopped): Promise<Findings> => {
    let api = 0
    let behave: Behaviour = () => undefined
    const peer: LoopbackServer = await startServer((request, response) => {
      request.on('error', () => undefined)
      response.on('error', () => undefined)
      behave(request, response, () => ({ peer: peer.port, api }))
    })
    const host = await startHost({}, { REGISTRY_URL: peer.url, HEALTH_CHECK_TIMEOUT_MS: '1000' })
    api = host.manager.port
    const violations: string[] = []
    const measured: Measured[] = []
    const figures: Figure[] = []
    const under = async (what: string, suffer: () => Promise<void>) => {
      stopped.throwIfAborted()
      const pulse = await startPulse(host.manager)
      const [before, startedAt] = [processorMs(host.manager.pid), performance.now()]
      await suffer()
      const { calls, failed, p99Ms, ownP99Ms, slowestMs } = await pulse.stop()
      const [after, share] = [processorMs(host.manager.pid), 100 / (performance.now() - startedAt)]
      if (failed > 0) violations.push(`${what}: ${failed} of ${calls} calls of /health failed`)
      const ran = (after.ran - before.ran) * share
      const waited = (after.waited - before.waited) * share
      measured.push({ what, calls, p99Ms, ownP99Ms, slowestMs, ran, waited, residentMib: residentMib(host) })
    }
    try {
      const droplet = await host.droplet('app')
      await putRoute(host.manager, 'app', 'app.example.com', droplet.port)
      await under('nothing', () => setTimeout(bounds.seconds * 500))
      const before = residentMib(host)

      for (const caller of HOSTILE_CALLERS) {
        await under(caller.what, async () => {
          const until = performance.now() + bounds.seconds * 500
          let [opened, lasting] = [0, 0]
          // Some are cut off at once: they reconnect at once.
          do {
            const suffered = await sufferCallers(host.manager, caller, bounds)
            opened += suffered.opened
            lasting += suffered.lasting
          } while (performance.now() < until)
          figures.push({ what: `${caller.what}: connections`, value: opened })
          if (opened < Math.floor(caller.count(bounds))) violations.push(`${caller.what}: only ${opened} were accepted`)
          if (lasting > 0) violations.push(`${caller.what}: ${lasting} were not cut off`)
        })
      }
      for (const [what, behaviour] of Object.entries(HOSTILE_PEERS)) {
        behave = behaviour
        await under(`a Registry that ${what}`, async () => {
          violations.push(
            ...(await sufferRegistry(host.manager, bounds)).map((words) => `a Registry that ${what}: ${words}`),
          )
        })
        if (what.startsWith('lists')) continue
        await under(`upstreams, each of which ${what}`, async () => {
          violations.push(
            ...(await sufferUpstreams(host.manager, peer.port, bounds)).map(
              (words) => `an upstream that ${what}: ${words}`,
            ),
          )
        })
      }
      behave = () => undefined
      await under('upstreams that are this API, or NGINX itself', async () => {
        for (const port of [host.manager.port, host.nginx.httpPort, host.nginx.httpsPort]) {
          const { status } = await putRoute(host.manager, 'self', 'self.example.com', port)
          if (status !== 422) violations.push(`a route to this host itself: ${status}`)
        }
      })
      const growth = residentMib(host) - before
      violations.push(...leftovers(host.nginx), ...refusedByNginx(host.nginx))
      const routes = await (await fetch(`${host.manager.url}/proxies`)).text()
      if (/back-|self/.test(routes)) violations.push(`a route points to this host: ${routes.slice(0, 300)}`)
      return {
        figures: [
          ...figures,
          ...measured.flatMap((scene) => [
            { what: `${scene.what}: p99 of /health, ms`, value: rounded(scene.p99Ms), atMost: HEALTH_MS },
            { what: '  of these, the API itself ran at most (p99), ms', value: rounded(scene.ownP99Ms) },
            { what: '  calls; it ran / waited for a processor, %; then has, MiB', value: describeLoad(scene) },
          ]),
          {
            what: 'slowest call of /health of all, ms',
            value: rounded(Math.max(...measured.map(({ slowestMs }) => slowestMs))),
          },
          { what: 'resident memory that came with it, MiB', value: Math.round(growth), atMost: GROWTH_MIB },
          { what: 'broken promises', value: violations.length, atMost: 0 },
        ],
        violations,
      }
    } finally {
      await host.close()
      peer.close()
    }
  },
}

function residentMib({ manager }: RealHost): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${manager.pid}/status`, 'utf8'))?.[1]) / 1024
}

function describeLoad({ calls, ran, waited, residentMib }: Measured): string {
  return [calls, ran, waited, residentMib].map(Math.round).join(' / ')
}

function rounded(ms: number): number {
  return Math.round(ms * 10) / 10
}
