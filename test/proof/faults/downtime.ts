/** What clients of other routes notice of changes, compared with as many bare reloads. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { hostProcesses } from '../../../lib/adapters/processes.ts'
import { measureFloor } from '../../bench/floor.ts'
import { makeLineage } from '../../helpers/arrange.ts'
import { putRoute, type RealHost, startHost } from '../../helpers/system/host.ts'
import { workersOf } from '../../helpers/system/workers.ts'
import type { FaultsPart } from './bounds.ts'
import { type Count, download, keepWebSocket, sendRequests, startBackend, type Target } from './load.ts'

const PLAIN = 'plain.example.com'
const SECURE = 'secure.example.com'

interface Noticed {
  readonly fresh: Count
  readonly kept: Count
  readonly isWhole: boolean
  readonly isOpen: boolean
}

export const downtime: FaultsPart = {
  title: 'changes under load on other routes',
  run: async ({ changes }, stopped) => {
    const host = await startHost()
    try {
      const droplet = await host.droplet('one')
      const other = await host.droplet('two')
      makeCertificate(host, SECURE)
      const change = async (i: number) => {
        stopped.throwIfAborted()
        const { status, body } = await putRoute(
          host.manager,
          'app',
          'app.example.com',
          (i % 2 === 0 ? droplet : other).port,
        )
        if (status >= 300) throw new Error(`a change was refused: ${JSON.stringify(body.error)}`)
      }
      const byChanges = await notice(host, async () => {
        for (let i = 0; i < changes; i++) await change(i)
      })
      const byReloads = await notice(host, async () => {
        for (let i = 0; i < changes; i++) {
          stopped.throwIfAborted()
          await measureFloor(host.nginx)
        }
      })
      const perChange = ({ kept }: Noticed) => (kept.failed / changes).toFixed(2)
      return {
        figures: [
          { what: 'changes', value: changes },
          { what: 'requests on fresh connections, HTTP and HTTPS', value: byChanges.fresh.requests },
          { what: 'of these, failed', value: byChanges.fresh.failed, atMost: 0 },
          { what: 'requests on kept connections', value: byChanges.kept.requests },
          { what: 'of these, broken per change', value: perChange(byChanges) },
          { what: 'broken per bare nginx -t and reload', value: perChange(byReloads) },
          { what: 'failed on fresh connections with bare reloads', value: byReloads.fresh.failed },
          { what: 'downloads that did not arrive whole', value: byChanges.isWhole ? 0 : 1, atMost: 0 },
          { what: 'WebSockets that were closed', value: byChanges.isOpen ? 0 : 1, atMost: 0 },
          { what: 'workers that accept at the end', value: acceptingWorkers(host), atMost: 2 },
        ],
        violations: [...new Set(byChanges.fresh.failures)],
      }
    } finally {
      await host.close()
    }
  },
}

/** Runs something under load, and returns what the load has noticed. */
async function notice(host: RealHost, act: () => Promise<void>): Promise<Noticed> {
  let isDone = false
  const isOver = () => isDone
  const backend = await startBackend(isOver)
  try {
    await put(host, 'plain', PLAIN, backend.port, false)
    await put(host, 'secure', SECURE, backend.port, true)
    const { httpPort, httpsPort } = host.nginx
    const plain: Target = { scheme: 'http', port: httpPort, domain: PLAIN }
    const secure: Target = { scheme: 'https', port: httpsPort, domain: SECURE }
    const fresh = [plain, secure].map((target) => sendRequests(target, false, isOver))
    const kept = [plain, plain, secure, secure].map((target) => sendRequests(target, true, isOver))
    const downloaded = download(plain)
    const talked = keepWebSocket(plain, isOver)
    await act().finally(() => {
      isDone = true
    })
    return {
      fresh: sum(await Promise.all(fresh)),
      kept: sum(await Promise.all(kept)),
      isWhole: (await downloaded) === backend.sha256,
      isOpen: await talked,
    }
  } finally {
    backend.close()
  }
}

async function put(
  { manager }: RealHost,
  name: string,
  domain: string,
  port: number,
  isSecure: boolean,
): Promise<void> {
  const { status, body } = await putRoute(manager, name, domain, port, { enable_ssl: isSecure })
  if (status !== 200 && status !== 201) throw new Error(`PUT ${name}: ${status} ${JSON.stringify(body)}`)
}

/** A lineage as certbot leaves it: the route is served over HTTPS at once. */
export function makeCertificate({ nginx }: RealHost, domain: string): void {
  const folder = join(nginx.root, 'letsencrypt/live', domain)
  mkdirSync(folder, { recursive: true })
  const { fullchain, privkey } = makeLineage(domain)
  writeFileSync(join(folder, 'fullchain.pem'), fullchain)
  writeFileSync(join(folder, 'privkey.pem'), privkey, { mode: 0o600 })
}

function acceptingWorkers({ nginx }: RealHost): number {
  const processes = hostProcesses()
  return workersOf(nginx).filter((pid) => processes.workerState(pid) === 'accepting').length
}

function sum(counts: readonly Count[]): Count {
  return {
    requests: counts.reduce((total, { requests }) => total + requests, 0),
    failed: counts.reduce((total, { failed }) => total + failed, 0),
    failures: counts.flatMap(({ failures }) => failures),
  }
}
