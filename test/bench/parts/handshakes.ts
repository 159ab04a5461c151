/** Full TLS handshakes, against an NGINX whose server block names the certificate's files directly. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Contender, SECURE, startPair, startUpstream } from '../contenders.ts'
import { CONNECTIONS, reconnect } from '../load.ts'
import { domainOf } from '../managed-host.ts'
import type { Options } from '../options.ts'
import { processorMs } from '../processor-time.ts'
import { type Findings, table } from '../report.ts'
import { median, medianRatio } from '../statistics.ts'
import { inTurns } from '../turns.ts'
import { withUndo } from '../undo.ts'

interface Figures {
  readonly perSecond: number[]
  /** Processor time of only the server for each, in microseconds. */
  readonly processorUs: number[]
}

/** One or two seconds. */
const HANDSHAKES = 3000
/** A file that NGINX itself serves, without an upstream. */
const FOLDER = '.well-known/acme-challenge'
const FILE = 'handshakes'

export async function benchHandshakes({ runs }: Options, stopped: AbortSignal): Promise<Findings> {
  return await withUndo(async (undo) => {
    process.stderr.write('handshakes ...\n')
    const port = await startUpstream(undo)
    const { host, ours, tuned } = await startPair(undo, { port, echoPort: port }, stopped)
    const webroot = join(host.nginx.root, 'state', 'acme', FOLDER)
    mkdirSync(webroot, { recursive: true })
    writeFileSync(join(webroot, FILE), 'hello\n')
    const figures = new Map<Contender, Figures>([ours, tuned].map((one) => [one, { perSecond: [], processorUs: [] }]))
    await inTurns(stopped, runs, async () => {
      for (const [contender, own] of figures) await takeHandshakes(contender, own, stopped)
    })
    return describe(ours, tuned, figures)
  })
}

async function takeHandshakes(contender: Contender, figures: Figures, stopped: AbortSignal): Promise<void> {
  const before = processorMs(contender.pids())
  const target = { protocol: 'https', domain: domainOf(SECURE), path: `/${FOLDER}/${FILE}` } as const
  const { perSecond } = await reconnect({ ...target, port: contender.portOf('https') }, HANDSHAKES, stopped)
  figures.perSecond.push(perSecond)
  figures.processorUs.push(((processorMs(contender.pids()) - before) * 1000) / HANDSHAKES)
}

function describe(ours: Contender, tuned: Contender, all: ReadonlyMap<Contender, Figures>): Findings {
  const row = (name: string, unit: string, values: (figures: Figures) => readonly number[]) => {
    const [own = [], other = []] = [...all.values()].map(values)
    const ratio = medianRatio(own, other).toFixed(2)
    return [name, ...[own, other].map((each) => `${median(each).toFixed(0)}${unit}`), ratio]
  }
  const rows = [
    ['full TLS handshakes', ours.name, tuned.name, `of ${tuned.name}`],
    row(`a second, ${CONNECTIONS} at a time`, '', ({ perSecond }) => perSecond),
    row("  the server's processor time for each", ' us', ({ processorUs }) => processorUs),
  ]
  const value = medianRatio(all.get(ours)?.perSecond ?? [], all.get(tuned)?.perSecond ?? [])
  const what = 'full TLS handshakes: the rate, of that of the tuned NGINX'
  return { tables: [table(rows)], targets: [{ what, value, bound: 'at least', limit: 0.95, unit: 'times' }] }
}
