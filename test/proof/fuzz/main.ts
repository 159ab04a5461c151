/**
 * Fuzzes the API as a hostile caller, or peer, would; exits with 1 if a promise was broken.
 *
 *     npm run proof:fuzz [-- --only surface] [--quick] [--seed 7]
 */
import { runProof } from '../run-proof.ts'
import { hostile } from './hostile.ts'
import { raw } from './raw.ts'
import { surface } from './surface.ts'

const SEED = Math.ceil(Math.random() * 100_000)

await runProof(
  {
    script: 'proof:fuzz',
    purpose: 'Fuzzes Proxy Manager as hostile callers and peers would, on its own NGINX.',
    parts: { surface, raw, hostile },
    bounds: {
      requests: { full: 80_000, quick: 4000, max: 10_000_000, says: 'surface: requests' },
      raw: { full: 20_000, quick: 1000, max: 10_000_000, says: 'raw: requests, whole and broken' },
      connections: { full: 2000, quick: 300, max: 4000, says: 'hostile: idle connections' },
      seconds: { full: 12, quick: 2, max: 600, says: 'hostile: how long each kind acts, in seconds' },
      seed: {
        full: SEED,
        quick: SEED,
        max: 100_000,
        given: 'random',
        says: 'surface, raw: the same requests again',
      },
    },
    notes: 'What breaks a promise is printed as the smallest request that does so, and the seed of its batch.',
  },
  (read) => ({
    requests: read('requests'),
    raw: read('raw'),
    connections: read('connections'),
    seconds: read('seconds'),
    seed: read('seed'),
  }),
)
