/**
 * Tries to break the product with faults, and prints the findings; exits with 1 if a promise was broken.
 *
 *     npm run proof:faults [-- --only steps,syscalls] [--quick]
 */
import { runProof } from '../run-proof.ts'
import { deploys } from './deploys.ts'
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
    purpose: 'Tries to break Proxy Manager with faults, on its own NGINX.',
    parts: { steps, syscalls, disk, storm, others, downtime, deploys, soak },
    bounds: {
      every: {
        full: 1,
        quick: 12,
        max: 1000,
        says: 'steps, syscalls: break a change at every n-th place',
      },
      rounds: {
        full: 30,
        quick: 3,
        max: 1000,
        says: 'storm: rounds of changes, each with its kill; others: rounds of interference',
      },
      clients: { full: 50, quick: 20, max: 500, says: 'storm: concurrent callers' },
      changes: { full: 300, quick: 20, max: 10_000, says: 'downtime: changes under load' },
      deploys: { full: 50, quick: 5, max: 1000, says: 'deploys: deploys of one droplet under load' },
      soak: { full: 20_000, quick: 500, max: 1_000_000, says: 'soak: changes' },
    },
    notes: 'Part syscalls needs strace, part disk the right to mount.',
  },
  (read) => ({
    every: read('every'),
    rounds: read('rounds'),
    clients: read('clients'),
    changes: read('changes'),
    deploys: read('deploys'),
    soak: read('soak'),
  }),
)
