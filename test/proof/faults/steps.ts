/** Every effect of every kind of change fails in turn, on fakes: errnos, timeouts, hard stops, and the recovery from these. */
import {
  breakRecoveries,
  failEach,
  LASTING,
  type Swept,
  stopEach,
  stopEachWithoutNginx,
  together,
} from '../../helpers/sweep-faults.ts'
import { SWEEPS } from '../../helpers/sweeps.ts'
import type { Figure, Findings } from '../findings.ts'
import type { FaultsPart } from './bounds.ts'

const ERRNOS = ['ENOSPC', 'EACCES', 'EROFS', 'EIO', 'EMFILE']
/** A recovery is broken after every n-th stop of the change: each has as many faults as the recovery has effects. */
const RECOVERY_EVERY = 5

export const steps: FaultsPart = {
  title: 'each effect of a change fails, on a host of fakes',
  run: async ({ every }, stopped) => {
    const rows: [what: string, swept: Swept][] = []
    for (const [name, sweep] of Object.entries(SWEEPS)) {
      const sums: Swept[] = []
      for (const code of [...ERRNOS, 'ETIMEDOUT']) sums.push(await failEach(sweep, code, undefined, every))
      for (const code of ERRNOS) sums.push(await failEach(sweep, code, LASTING[code], every))
      for (const kind of ['stop_before', 'stop_after'] as const) sums.push(await stopEach(sweep, kind, every))
      sums.push(await stopEachWithoutNginx(sweep, every))
      rows.push([name, together(sums)])
      stopped.throwIfAborted()
    }
    const broken: Swept[] = []
    for (const sweep of Object.values(SWEEPS)) {
      broken.push(await breakRecoveries(sweep, { kind: 'stop_after' }, RECOVERY_EVERY * every))
      for (const code of ['ENOSPC', 'EIO', 'ETIMEDOUT'])
        broken.push(await breakRecoveries(sweep, { kind: 'error', code }, RECOVERY_EVERY * every))
      stopped.throwIfAborted()
    }
    rows.push(['recovery from a stop within each of these', together(broken)])
    return summarize(rows)
  },
}

function summarize(rows: readonly (readonly [what: string, swept: Swept])[]): Findings {
  const all = together(rows.map(([, swept]) => swept))
  const figures: Figure[] = rows.map(([what, { faults }]) => ({ what: `faults: ${what}`, value: faults }))
  return {
    figures: [
      ...figures,
      { what: 'faults altogether', value: all.faults },
      { what: 'broken promises', value: all.violations.length, atMost: 0 },
    ],
    violations: rows.flatMap(([what, { violations }]) => violations.map((violation) => `${what}: ${violation}`)),
  }
}
