/** What a suite starts, and what ends it again: also where only a part of it could be started. */
import { inspect } from 'node:util'
import type { Callback, Test } from 'uvu'

/** To be called once something stands, with what takes it down: the steps are taken in the reverse order. */
export type Undo = (step: () => unknown) => void

type SetUp<T> = (context: T, undo: Undo) => Promise<void>

/** Before the first test of a suite, and after its last one. */
export function setUp<T>(test: Pick<Test<T>, 'before' | 'after'>, start: SetUp<T>, tell = say): void {
  const { undo, undoAll } = collect()
  test.before(async (context) => {
    await start(context, undo).catch((error: unknown) => {
      // uvu goes on to what comes after, and then drops it.
      tell(`the suite could not be set up: ${inspect(error)}`)
      throw error
    })
  })
  test.after(undoAll)
}

function say(words: string): void {
  process.stdout.write(`\n  ${words}\n`)
}

/** Before each test of a suite, and after it. */
export function setUpEach<T>(test: Pick<Test<T>, 'before' | 'after'>, start: SetUp<T>): void {
  const { undo, undoAll } = collect()
  test.before.each((context) => start(context, undo))
  test.after.each(undoAll)
}

/** A step that fails keeps no other one from being taken. */
function collect(): { readonly undo: Undo; readonly undoAll: Callback<unknown> } {
  const steps: (() => unknown)[] = []
  return {
    undo: (step) => steps.push(step),
    undoAll: async () => {
      const failures: unknown[] = []
      for (let step = steps.pop(); step !== undefined; step = steps.pop()) {
        try {
          await step()
        } catch (error) {
          failures.push(error)
        }
      }
      if (failures.length > 0) throw new AggregateError(failures, `what was started does not end: ${inspect(failures)}`)
    },
  }
}
