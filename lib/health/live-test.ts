/** The test of the configuration as it is live, cached. */
import { type ChangeContext, type LastTest, testedNow } from '../change/context.ts'
import { ProxyManagerError } from '../errors.ts'
import { singleFlight } from '../host/single-flight.ts'

const TEST_EVERY_MS = 60_000
/** Somebody who fixes the configuration looks at once. */
const TEST_FAILED_EVERY_MS = 2_000
/** Callers wait for the test of a failed configuration if the last one took less. */
const QUICK_MS = 1_000

/**
 * Makes a reader of `state.lastTest`. It starts another test if the last one is older than a minute, or than 2 s if that failed. Callers get the
 * last result meanwhile; they wait for the first test, and for one that may clear a failure, unless tests are slow.
 */
export function liveTestReader(context: ChangeContext): () => Promise<LastTest | undefined> {
  const { host, state } = context
  const testing = singleFlight<void>()
  let durationMs = 0

  const test = async (): Promise<void> => {
    const observation = await context.observe([])
    const before = state.lastTest
    const result = await observation.nginx.testAsIs()
    durationMs = result.durationMs
    // A change that ended meanwhile has tested what is live now; this test may have read some files before and some after it.
    if (state.lastTest !== before || state.unconfirmed !== undefined) return
    state.lastTest = testedNow(host, result)
  }
  const failed = (error: Error): void => {
    // Health reports what cannot be written or read; of the configuration nothing is known.
    if (error instanceof ProxyManagerError && ['CONFIG_WRITE_FAILED', 'CONFIG_READ_FAILED'].includes(error.code)) return
    state.lastTest = testedNow(host, { ok: false, output: error.message })
  }

  return async () => {
    const last = state.lastTest
    const ageMs = last === undefined ? Number.POSITIVE_INFINITY : host.clock.monotonicMs() - last.endedMs
    const refreshed =
      ageMs > (last?.ok === false ? TEST_FAILED_EVERY_MS : TEST_EVERY_MS)
        ? testing.run(() => test().catch(failed))
        : undefined
    if (last === undefined || (!last.ok && durationMs < QUICK_MS)) await refreshed
    return state.lastTest
  }
}
