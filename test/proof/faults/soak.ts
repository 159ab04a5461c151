/** Many changes: memory, open files and what is kept on disk must not grow with their number. */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { BACKUPS_KEPT } from '../../../lib/host/backups.ts'
import { call, putRoute, type RealHost, startHost } from '../../helpers/system/host.ts'
import type { Figure, Findings } from '../findings.ts'
import type { FaultsPart } from './bounds.ts'

const AT_ONCE = 100
const SAMPLES = 8
/**
 * A process that has worked for a while holds more memory than a new one: V8 uses what it may before it collects. So memory is
 * promised only for the second half of a long run.
 */
const GROWTH_MIB = 40
const LONG = 10_000
/** In a short run the backups of the edited route have not reached their limit yet. */
const GROWTH_FILES = BACKUPS_KEPT
/** Those of 1,000 deleted routes, and of the present ones. */
const MAX_HISTORIES = 1000 + 2 * AT_ONCE
/** The number of the callers' kept connections varies. */
const GROWTH_DESCRIPTORS = AT_ONCE + 5

const Health = v.looseObject({ nginx: v.looseObject({ generation: v.nullable(v.number()) }) })

interface Sample {
  readonly changes: number
  readonly residentMib: number
  readonly openFiles: number
  readonly stateFiles: number
  readonly histories: number
  readonly journalBytes: number
  readonly generation: number
}

export const soak: FaultsPart = {
  title: 'thousands of changes, with names that come and go',
  run: async ({ soak: total }, stopped) => {
    const host = await startHost()
    try {
      const droplets = [await host.droplet('one'), await host.droplet('two')]
      const ports = droplets.map(({ port }) => port)
      await putRoute(host.manager, 'edited', 'edited.example.com', ports[0] ?? 0)
      const samples: Sample[] = []
      const refused: string[] = []
      let done = 0
      for (let round = 0; done < total; round++) {
        stopped.throwIfAborted()
        if (done >= (samples.length * total) / SAMPLES) samples.push(await sample(host, done))
        refused.push(...(await changeMany(host, ports, round, Math.min(AT_ONCE, total - done))))
        done += Math.min(AT_ONCE, total - done)
      }
      samples.push(await sample(host, done))
      return summarize(samples, refused)
    } finally {
      await host.close()
    }
  },
}

/** Creates new names, and deletes those of the previous round: all state of a name must go with it. Returns what was refused, and why. */
async function changeMany(host: RealHost, ports: readonly number[], round: number, count: number): Promise<string[]> {
  const { manager, nginx } = host
  const edited = join(nginx.sitesAvailable, 'fpai-edited.conf')
  // The next change of the route keeps its text: the backups must be limited too.
  writeFileSync(edited, `${readFileSync(edited, 'utf8')}# by hand\n`)
  const half = Math.ceil(count / 2)
  const answers = await Promise.all(
    Array.from({ length: count }, (_, i) => {
      if (i === 0) return putRoute(manager, 'edited', 'edited.example.com', ports[round % 2] ?? 0)
      if (i < half) return putRoute(manager, `n${round}-${i}`, `n${round}-${i}.example.com`, ports[i % 2] ?? 0)
      return call(manager, 'DELETE', `/proxies/n${round - 1}-${i - half + 1}`)
    }),
  )
  return answers
    .filter(({ status }) => status >= 300 && status !== 404)
    .map(({ status, body }) => `${status} ${JSON.stringify(body.error)}`)
}

async function sample({ manager, nginx }: RealHost, changes: number): Promise<Sample> {
  // Queued, so it runs after the cleanup of the last batch.
  await call(manager, 'DELETE', '/proxies/nobody')
  const status = readFileSync(`/proc/${manager.pid}/status`, 'utf8')
  const state = join(nginx.root, 'state')
  const journal = statSync(join(state, 'journal'), { throwIfNoEntry: false })
  const { nginx: facts } = v.parse(Health, (await call(manager, 'GET', '/proxy-manager/health')).body)
  return {
    changes,
    residentMib: Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024,
    openFiles: readdirSync(`/proc/${manager.pid}/fd`).length,
    // A route that is deleted keeps its history for a while: those files are counted by their own bound.
    stateFiles: readdirSync(state, { recursive: true }).filter((path) => !String(path).startsWith('history/')).length,
    histories: readdirSync(`${state}/history`).length,
    journalBytes: journal?.size ?? 0,
    generation: facts.generation ?? 0,
  }
}

function summarize(samples: readonly Sample[], refused: readonly string[]): Findings {
  const [start, middle, end] = [samples[1], samples[Math.floor(samples.length / 2)], samples.at(-1)]
  if (start === undefined || middle === undefined || end === undefined) throw new Error('too few samples')
  const row = (what: string, read: (sample: Sample) => number, most?: number): Figure[] => [
    { what: `${what}: early, middle, end`, value: [start, middle, end].map((one) => Math.round(read(one))).join(' ') },
    ...(most === undefined
      ? []
      : [{ what: '  growth from the middle on', value: Math.round(read(end) - read(middle)), atMost: most }]),
  ]
  return {
    figures: [
      { what: 'changes', value: end.changes },
      { what: 'changes refused', value: refused.length, atMost: 0 },
      ...row('resident memory, MiB', ({ residentMib }) => residentMib, end.changes < LONG ? undefined : GROWTH_MIB),
      ...row('open file descriptors', ({ openFiles }) => openFiles, GROWTH_DESCRIPTORS),
      ...row('files in the state directory', ({ stateFiles }) => stateFiles, GROWTH_FILES),
      { what: 'histories of routes, at the end', value: end.histories, atMost: MAX_HISTORIES },
      ...row('bytes of the journal', ({ journalBytes }) => journalBytes, 0),
      ...row('generation', ({ generation }) => generation),
    ],
    violations: refused,
  }
}
