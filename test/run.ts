/**
 * Runs every test file, the fast ones first, those on a real NGINX after. uvu alone would exit 0 when a hook throws, when a file forgets
 * `.run()`, and would hang on an open handle: so what passed is counted against what was planned.
 *
 *     node test/run.ts [--fast] [part of a file name ...]
 */
import { globSync } from 'node:fs'
import { relative } from 'node:path'

type Run = () => Promise<[errors: string | true, passed: number, skipped: number, total: number]>

const uvu = globalThis as typeof globalThis & {
  UVU_DEFER?: number
  UVU_INDEX?: number
  UVU_QUEUE?: [string | null, ...Run[]][]
}
const SUITE_TIMEOUT_MS = 150_000

const root = new URL('..', import.meta.url).pathname
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith('--'))
const isFast = process.argv.includes('--fast')
const isHost = (file: string) => file.includes('/host/')
const files = globSync('test/**/*.test.ts', { cwd: root })
  .map((file) => `${root}${file}`)
  .filter((file) => !(isFast && isHost(file)) && (wanted.length === 0 || wanted.some((part) => file.includes(part))))
  .sort((a, b) => Number(isHost(a)) - Number(isHost(b)) || (a < b ? -1 : 1))

let passed = 0
let failed = 0
const fail = (what: string) => {
  failed++
  process.stdout.write(`  FAIL  ${what}\n`)
}
process.on('unhandledRejection', (reason) =>
  fail(`stray rejection: ${reason instanceof Error ? reason.stack : String(reason)}`),
)
process.on('uncaughtException', (error) => fail(`stray exception: ${error.stack}`))

uvu.UVU_DEFER = 1
uvu.UVU_QUEUE = []
for (const file of files) {
  const name = relative(root, file)
  const started = performance.now()
  uvu.UVU_INDEX = uvu.UVU_QUEUE.push([name]) - 1
  await import(file)
  const [, ...runs] = uvu.UVU_QUEUE[uvu.UVU_INDEX] ?? [null]
  if (runs.length === 0) fail(`${name} never calls .run()`)
  process.stdout.write(`${name}\n`)
  for (const run of runs) {
    const late = setTimeout(() => {
      fail(`${name} did not end within ${SUITE_TIMEOUT_MS / 1000} s`)
      finish()
    }, SUITE_TIMEOUT_MS)
    const [errors, done, skipped, total] = await run()
    clearTimeout(late)
    passed += done
    failed += total - done
    if (errors !== true) process.stdout.write(`${errors}\n`)
    if (total === 0) fail(`${name} has a suite without tests`)
    if (skipped > 0) fail(`${name} skips ${skipped} tests`)
  }
  process.stdout.write(`  ${((performance.now() - started) / 1000).toFixed(1)} s\n`)
}
if (files.length === 0) fail('no test file matches')
finish()

function finish(): never {
  process.stdout.write(`${passed} passed, ${failed} failed\n`)
  process.exit(failed === 0 ? 0 : 1)
}
