/** Deploys under load: each stops the former droplet the moment that the answer says it is drained. */
import * as v from 'valibot'
import { call as callOnce } from '../../../fixtures/call.ts'
import { type RealHost, startHost } from '../../helpers/system/host.ts'
import type { FaultsPart } from './bounds.ts'
import { makeCertificate } from './downtime.ts'
import { type Count, sendRequests, type Target } from './load.ts'
import { type SlowClient, slowClients, startStoppable, twoStreams } from './slow-clients.ts'

/** How long the slow clients of a deploy take: longer than the change, so that NGINX's old workers have to finish them. */
const SLOW_MS = 700
const DRAIN_WAIT_S = 30

/** A route that stays as it is. */
const STEADY = { scheme: 'https', domain: 'steady.example.com' } as const

const Deployed = v.object({
  receipt: v.object({
    former: v.array(
      v.object({ drained: v.nullable(v.boolean()), connections: v.nullable(v.number()), waited_ms: v.number() }),
    ),
  }),
})

interface Noticed {
  readonly requests: number
  readonly failures: readonly string[]
  readonly undrained: number
  readonly longestMs: number
}

export const deploys: FaultsPart = {
  title: 'deploys whose former droplet is stopped as soon as it is drained',
  run: async ({ deploys: count }, stopped) => {
    const host = await startHost()
    try {
      const { httpPort, httpsPort } = host.nginx
      const plain: Target = { scheme: 'http', port: httpPort, domain: 'plain.example.com' }
      const secure: Target = { scheme: 'https', port: httpsPort, domain: 'secure.example.com' }
      for (const { domain } of [secure, STEADY]) makeCertificate(host, domain)
      const overHttp = await deployUnderLoad(host, plain, { count, drainWaitS: DRAIN_WAIT_S }, stopped)
      const ofSecure = { count: Math.ceil(count / 5), drainWaitS: DRAIN_WAIT_S }
      const overHttps = await deployUnderLoad(host, secure, ofSecure, stopped)
      const careless = await deployUnderLoad(host, plain, { count: 1, drainWaitS: 0 }, stopped)
      const both = [overHttp, overHttps]
      const sum = (of: (noticed: Noticed) => number) => both.reduce((total, noticed) => total + of(noticed), 0)
      return {
        figures: [
          { what: 'deploys over HTTP, over HTTPS', value: `${count}, ${ofSecure.count}` },
          { what: 'requests, among them the slow ones', value: sum(({ requests }) => requests) },
          { what: 'of these, failed', value: sum(({ failures }) => failures.length), atMost: 0 },
          {
            what: `former droplets that were not drained within ${DRAIN_WAIT_S} s`,
            value: sum(({ undrained }) => undrained),
            atMost: 0,
          },
          {
            what: 'longest wait until a droplet was drained, ms',
            value: Math.max(...both.map(({ longestMs }) => longestMs)),
          },
          {
            what: 'failed if the former droplet is stopped without a wait, in one deploy',
            value: careless.failures.length,
          },
        ],
        violations: [...new Set(both.flatMap(({ failures }) => failures))],
      }
    } finally {
      await host.close()
    }
  },
}

/** Deploys one droplet after another, with clients of every kind in the middle of something at each change. */
async function deployUnderLoad(
  host: RealHost,
  target: Target,
  { count, drainWaitS }: { readonly count: number; readonly drainWaitS: number },
  stopped: AbortSignal,
): Promise<Noticed> {
  let isDone = false
  const steady = await startStoppable()
  let droplet = await startStoppable()
  const noticed = { requests: 0, failures: [] as string[], undrained: 0, longestMs: 0 }
  try {
    await deploy(host, STEADY, steady.port, 0)
    await deploy(host, target, droplet.port, 0)
    const load = [target, target].map((one) => sendRequests(one, false, () => isDone))
    const kinds: (readonly [string, SlowClient])[] = Object.entries(slowClients)
    if (target.scheme === 'https') kinds.push(['HTTP/2', (to, ms) => twoStreams(to, ms, STEADY.domain)])
    const clients: Promise<string | undefined>[] = []
    for (let i = 0; i < count; i++) {
      stopped.throwIfAborted()
      const next = await startStoppable()
      clients.push(
        ...kinds.map(async ([kind, client]) => {
          const failure = await client(target, SLOW_MS)
          return failure === undefined ? undefined : `${target.scheme}: ${kind}: ${failure}`
        }),
      )
      const former = await deploy(host, target, next.port, drainWaitS)
      droplet.stop()
      droplet = next
      if (former?.drained !== true) noticed.undrained++
      noticed.longestMs = Math.max(noticed.longestMs, former?.waited_ms ?? 0)
    }
    const failures = (await Promise.all(clients)).filter((failure) => failure !== undefined)
    isDone = true
    const counts: readonly Count[] = await Promise.all(load)
    return {
      ...noticed,
      requests: clients.length + counts.reduce((sum, { requests }) => sum + requests, 0),
      failures: [...failures, ...counts.flatMap((one) => one.failures)],
    }
  } finally {
    isDone = true
    for (const one of [droplet, steady]) one.stop()
  }
}

async function deploy(
  { manager }: RealHost,
  { scheme, domain }: Pick<Target, 'scheme' | 'domain'>,
  port: number,
  drainWaitS: number,
) {
  const body = { domain, upstream: `http://127.0.0.1:${port}`, enable_ssl: scheme === 'https' }
  const path = `/proxies/${domain.split('.')[0]}?drain_wait_s=${drainWaitS}`
  const { status, text } = await callOnce(manager.url + path, { method: 'PUT', body })
  if (status >= 300 || status === 0) throw new Error(`a deploy was refused: ${status} ${text}`)
  return v.parse(Deployed, JSON.parse(text)).receipt.former[0]
}
