/** Sets a suite up, and tears it down again, even if only a part of it could be started. */
import { inspect } from 'node:util'
import type { Callback, Test } from 'uvu'

/** Registers how to tear down what was just set up: the steps are taken in reverse order. */
export type Undo = (step: () => unknown) => void

type SetUp<T> = (context: T, undo: Undo) => Promise<void>

/** Sets up before the first test of a suite, and tears down after its last one. */
export function setUp<T>(test: Pick<Test<T>, 'before' | 'after'>, start: SetUp<T>, report = say): void {
  const { undo, undoAll } = collect()
  test.before(async (context) => {
    await start(context, undo).catch((error: unknown) => {
      // uvu runs the after hooks, and then drops the error.
      report(`the suite could not be set up: ${inspect(error)}`)
      throw error
    })
  })
  test.after(undoAll)
}

function say(message: string): void {
  process.stdout.write(`\n  ${message}\n`)
}

/** Sets up before each test of a suite, and tears down after it. */
export function setUpEach<T>(test: Pick<Test<T>, 'before' | 'after'>, start: SetUp<T>): void {
  const { undo, undoAll } = collect()
  test.before.each((context) => start(context, undo))
  test.after.each(undoAll)
}

/** Collects the steps; one that fails does not prevent the others. */
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
      if (failures.length > 0) throw new AggregateError(failures, `the teardown failed: ${inspect(failures)}`)
    },
  }
}
