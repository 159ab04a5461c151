/**
 * Runs every test file: the fast ones first, together in one process; beside them the long ones, and after them those on a real NGINX, each in
 * a process of its own. uvu itself would exit 0 when a hook throws, when a file forgets `.run()`, and would hang on an open handle: so what
 * passed is counted against what was planned.
 *
 *     node test/run.ts [--fast] [part of a file name ...]
 */
import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'

type Run = () => Promise<[errors: string | true, passed: number, skipped: number, total: number]>

const uvu = globalThis as typeof globalThis & {
  UVU_DEFER?: number
  UVU_INDEX?: number
  UVU_QUEUE?: [string | null, ...Run[]][]
}
/** For a suite that hangs: on a busy machine one may take minutes. */
const SUITE_TIMEOUT_MS = 300_000
/** More than there are cores: most files wait for NGINX or certbot. */
const PROCESSES_AT_ONCE = 4
/**
 * The files that take longest, by prefixes of their paths: they run first, so that none is left for the end. It is a list because the size of a
 * file says little: each order waits two seconds for certbot, and a file of 23 lines runs a whole proof.
 */
const LONGEST_FIRST = [
  'proof/sweep',
  'system/certbot',
  'system/certificate',
  'system/faults',
  'system/largest',
  'system/route-life',
  'system/storm',
  'system/readme',
  'system/mesh',
  'system/package',
  'system/page',
]

const root = fileURLToPath(new URL('..', import.meta.url))
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith('--'))
const isFast = process.argv.includes('--fast')
const isSystem = (file: string) => file.includes('/system/')
const rank = (file: string) => {
  const index = LONGEST_FIRST.findIndex((beginning) => file.startsWith(`${root}test/${beginning}`))
  return index < 0 ? LONGEST_FIRST.length : index
}
const files = globSync('test/**/*.test.ts', { cwd: root })
  .map((file) => `${root}${file}`)
  .filter((file) => wanted.length === 0 || wanted.some((part) => relative(root, file).includes(part)))
  .filter((file) => !isFast || !isSystem(file))
  .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
const apart = isFast ? [] : files.filter((file) => isSystem(file) || rank(file) < LONGEST_FIRST.length)
const together = files.filter((file) => !apart.includes(file))

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

if (files.length === 0) fail('no test file matches')
for (const [index, beginning] of LONGEST_FIRST.entries())
  if (wanted.length === 0 && !isFast && !files.some((file) => rank(file) === index))
    fail(`no test file begins with ${beginning} any more: remove it from the list`)
uvu.UVU_DEFER = 1
uvu.UVU_QUEUE = []
if (apart.length > 1) {
  const oneByOne = (some: readonly string[]) => some.map((file) => [file])
  await runInLanes([together, ...oneByOne(apart.filter((file) => !isSystem(file)))])
  await runInLanes(oneByOne(apart.filter(isSystem)))
} else {
  for (const file of files) await runHere(file)
}
finish()

async function runHere(file: string): Promise<void> {
  const name = relative(root, file)
  const started = performance.now()
  const queue = uvu.UVU_QUEUE ?? []
  uvu.UVU_INDEX = queue.push([name]) - 1
  await import(file)
  const [, ...runs] = queue[uvu.UVU_INDEX] ?? [null]
  process.stdout.write(`${name}\n`)
  if (runs.length === 0) fail(`${name} never calls .run()`)
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
    // uvu ends a suite silently if it cannot print an error, such as one whose `details` are not a string.
    if (errors === true && done + skipped < total)
      process.stdout.write(`  test ${done + 1} of ${total}, or a hook, threw an error that uvu cannot print\n`)
    if (total === 0) fail(`${name} has a suite without tests`)
    if (skipped > 0) fail(`${name} skips ${skipped} tests`)
  }
  process.stdout.write(`  ${((performance.now() - started) / 1000).toFixed(1)} s\n`)
}

async function runInLanes(groups: readonly (readonly string[])[]): Promise<void> {
  const waiting = groups.values()
  const lanes = Array.from({ length: PROCESSES_AT_ONCE }, async () => {
    for (const group of waiting) if (group.length > 0) await runApart(group)
  })
  await Promise.all(lanes)
}

/** Runs files in their own process. It starts no further ones: the group has a single file, or none that runs apart. */
async function runApart(group: readonly string[]): Promise<void> {
  const names = group.map((file) => relative(root, file))
  const child = spawn(process.execPath, [import.meta.filename, ...names], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  await new Promise((resolve) => child.once('close', resolve))
  const closing = /^(\d+) passed, (\d+) failed\n$/m.exec(output)
  process.stdout.write(closing === null ? output : output.slice(0, closing.index))
  passed += Number(closing?.[1] ?? 0)
  failed += Number(closing?.[2] ?? 0)
  if (closing === null) fail(`${names.join(', ')} ended without a count`)
}

function finish(): never {
  process.stdout.write(`${passed} passed, ${failed} failed\n`)
  process.exit(failed === 0 ? 0 : 1)
}
