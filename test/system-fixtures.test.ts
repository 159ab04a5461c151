/** The helpers of the tests on a real host: several of these run side by side, and none may leave anything behind. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { type Callback, suite } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../fixtures/free-port.ts'
import { setUp, setUpEach } from './helpers/system/set-up.ts'

const test = suite('fixtures of a host')
const FIXTURES = new URL('../fixtures/', import.meta.url).href

/** Runs a script in its own process until it prints a line; `end` lets it exit. */
async function startScript(text: string): Promise<{ readonly line: string; readonly end: () => Promise<void> }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', text], { stdio: ['pipe', 'pipe', 'inherit'] })
  const [line]: unknown[] = await once(child.stdout, 'data')
  const end = async () => {
    const exited = once(child, 'exit')
    child.stdin.end()
    await exited
  }
  return { line: String(line).trim(), end }
}

test('no two processes get the same port, even if nothing listens on it yet', async () => {
  const script = `import { freePort } from '${FIXTURES}free-port.ts'
const ports = []
for (let i = 0; i < 120; i++) ports.push(await freePort())
console.log(JSON.stringify(ports))
process.stdin.on('end', () => process.exit()).resume()`
  const others = await Promise.all([startScript(script), startScript(script)])
  const ports = others.flatMap(({ line }): number[] => JSON.parse(line))
  for (let i = 0; i < 120; i++) ports.push(await freePort())
  assert.is(new Set(ports).size, 360)
  await Promise.all(others.map(({ end }) => end()))
})

test('only a port on which nothing listens is given', async () => {
  const first = await freePort()
  const stranger = createServer().listen(first + 1, '127.0.0.1')
  await once(stranger, 'listening')
  const second = await freePort()
  stranger.close()
  assert.ok(second > first + 1, `${first}, ${second}`)
})

test('a child ends with the process that started it', async () => {
  const { line, end } = await startScript(`import { spawn } from 'node:child_process'
import { endWithUs } from '${FIXTURES}end-with-us.ts'
const child = spawn('sleep', ['1000'], { stdio: 'ignore' })
endWithUs(child)
console.log(child.pid)
process.stdin.on('end', () => process.exit()).resume()`)
  assert.ok(isAlive(Number(line)))
  await end()
  for (let tries = 0; tries < 500 && isAlive(Number(line)); tries++)
    await new Promise((resolve) => setTimeout(resolve, 10))
  assert.not.ok(isAlive(Number(line)))
})

const printed: string[] = []
const ARRANGE: Readonly<Record<string, typeof setUpEach>> = {
  suite: (test, start) => setUp(test, start, (message) => printed.push(message)),
  test: setUpEach,
}

for (const [when, arrange] of Object.entries(ARRANGE)) {
  test(`if the setup of a ${when} fails, exactly what was set up is torn down`, async () => {
    const hooks = fakeHooks()
    const tornDown: string[] = []
    arrange(hooks, async (_context, undo) => {
      undo(() => tornDown.push('first'))
      undo(() => {
        tornDown.push('second')
        throw new Error('it does not end')
      })
      throw new Error('no third')
    })
    const errors = await hooks.callAll()
    assert.match(errors[0] ?? '', 'no third')
    assert.match(errors[1] ?? '', 'it does not end')
    assert.equal(tornDown, ['second', 'first'])
    // uvu reports what fails before a test, but not what fails before a suite.
    if (when === 'suite') assert.match(printed.join(), 'no third')
  })
}

test.run()

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Hooks as uvu runs them: the after hooks run even if a before hook has thrown. */
function fakeHooks() {
  const before: Callback<object>[] = []
  const after: Callback<object>[] = []
  const hook = (list: Callback<object>[]) => {
    const add = (callback: Callback<object>) => {
      list.push(callback)
    }
    return Object.assign(add, { each: add })
  }
  return {
    before: hook(before),
    after: hook(after),
    callAll: async () => {
      const errors: string[] = []
      for (const callback of [...before, ...after])
        await Promise.resolve(callback({ __suite__: '', __test__: '' })).catch((error: Error) =>
          errors.push(error.message),
        )
      return errors
    },
  }
}
