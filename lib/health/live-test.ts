/** The test of the configuration as it is live, cached: callers get the last result while the next test runs. */
import { type ChangeContext, type LastTest, testedNow } from '../change/context.ts'
import { ProxyManagerError } from '../errors.ts'
import { singleFlight } from '../host/single-flight.ts'

const TEST_EVERY_MS = 60_000

/** Makes a reader of `state.lastTest`: it waits for the first test, and starts another one, without waiting, if the last is older than a minute. */
export function liveTestReader(context: ChangeContext): () => Promise<LastTest | undefined> {
  const { host, state } = context
  const testing = singleFlight<void>()

  const test = async (): Promise<void> => {
    const observation = await context.observe([])
    const before = state.lastTest
    const result = await observation.nginx.testAsIs()
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
    const isFresh = state.lastTest !== undefined && host.clock.monotonicMs() - state.lastTest.endedMs <= TEST_EVERY_MS
    const refreshed = isFresh ? undefined : testing.run(() => test().catch(failed))
    if (state.lastTest === undefined) await refreshed
    return state.lastTest
  }
}
