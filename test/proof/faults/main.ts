/**
 * Tries to break the product with faults, and prints what came of it; ends with 1 where a promise was broken.
 *
 *     npm run proof:faults [-- --only steps,syscalls] [--quick]
 */
import { runProof } from '../run-proof.ts'
import { disk } from './disk.ts'
import { downtime } from './downtime.ts'
import { others } from './others.ts'
import { soak } from './soak.ts'
import { steps } from './steps.ts'
import { storm } from './storm.ts'
import { syscalls } from './syscalls.ts'

await runProof(
  {
    script: 'proof:faults',
    purpose: 'Tries to break Proxy Manager with faults, on an NGINX of its own.',
    parts: { steps, syscalls, disk, storm, others, downtime, soak },
    bounds: {
      every: {
        full: 1,
        quick: 12,
        max: 1000,
        says: 'steps, syscalls: of the places at which a change can break, take every n-th',
      },
      rounds: {
        full: 30,
        quick: 3,
        max: 1000,
        says: 'storm: rounds of changes, each with its kill; others: rounds of interference',
      },
      clients: { full: 50, quick: 20, max: 500, says: 'storm: callers at once' },
      changes: { full: 300, quick: 20, max: 10_000, says: 'downtime: changes under load' },
      soak: { full: 20_000, quick: 500, max: 1_000_000, says: 'soak: changes' },
    },
    notes: 'Part syscalls takes strace, part disk the right to mount.',
  },
  (read) => ({
    every: read('every'),
    rounds: read('rounds'),
    clients: read('clients'),
    changes: read('changes'),
    soak: read('soak'),
  }),
)
