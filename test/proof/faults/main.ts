/**
 * Tries to break the product with faults, and prints what came of it; ends with 1 where a promise was broken.
 *
 *     npm run proof:faults [-- --only steps,syscalls] [--quick]
 */
import { parseArgs } from 'node:util'
import { describeMachine } from '../../bench/programs.ts'
import { disk } from './disk.ts'
import { downtime } from './downtime.ts'
import { type Bounds, describeFindings, isKept, type Part } from './findings.ts'
import { others } from './others.ts'
import { soak } from './soak.ts'
import { steps } from './steps.ts'
import { storm } from './storm.ts'
import { syscalls } from './syscalls.ts'

const PARTS: Readonly<Record<string, Part>> = { steps, syscalls, disk, storm, others, downtime, soak }
const NAMES = Object.keys(PARTS)

/** For each bound: in full, with --quick, the most, and what it says. */
const BOUNDS: Readonly<Record<keyof Bounds, readonly [full: number, quick: number, max: number, says: string]>> = {
  every: [1, 12, 1000, 'steps, syscalls: of the places at which a change can break, take every n-th'],
  rounds: [30, 3, 1000, 'storm: rounds of changes, each with its kill; others: rounds of interference'],
  clients: [50, 20, 500, 'storm: callers at once'],
  changes: [300, 20, 10_000, 'downtime: changes under load'],
  soak: [20_000, 500, 1_000_000, 'soak: changes'],
}

const HELP = `Tries to break Proxy Manager with faults, on an NGINX of its own. Ends with 1 where a promise is broken.

  npm run proof:faults [-- options]

  --only A,B,..   only these parts: ${NAMES.join(', ')}
  --quick         small numbers: minutes become seconds
${Object.entries(BOUNDS)
  .map(([name, [full, quick, , says]]) => `  --${`${name} N`.padEnd(13)} ${says} (${full}; quick: ${quick})`)
  .join('\n')}

Part syscalls takes strace, part disk the right to mount.`

function refuse(words: string): never {
  process.stderr.write(`proof: ${words}\n`)
  process.exit(2)
}

function readArguments() {
  const bound = { type: 'string' } as const
  try {
    return parseArgs({
      options: {
        only: { type: 'string', default: NAMES.join(',') },
        quick: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
        every: bound,
        rounds: bound,
        clients: bound,
        changes: bound,
        soak: bound,
      },
    }).values
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error))
  }
}

const values = readArguments()
if (values.help) {
  process.stdout.write(`${HELP}\n`)
  process.exit(0)
}

function bound(name: keyof Bounds): number {
  const [full, quick, max] = BOUNDS[name]
  const text = values[name]
  if (text === undefined) return values.quick ? quick : full
  const count = Number(text)
  if (Number.isInteger(count) && count >= 1 && count <= max) return count
  return refuse(`--${name}: got "${text}", takes an integer from 1 to ${max}`)
}

const bounds: Bounds = {
  every: bound('every'),
  rounds: bound('rounds'),
  clients: bound('clients'),
  changes: bound('changes'),
  soak: bound('soak'),
}
const chosen = values.only.split(',').map((name) => {
  const part = Object.hasOwn(PARTS, name) ? PARTS[name] : undefined
  return part === undefined ? refuse(`--only: got "${name}", takes ${NAMES.join(', ')}`) : ([name, part] as const)
})

const stopped = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopped.abort())

process.stdout.write(`${describeMachine()}\n`)
for (const [name, part] of chosen) {
  if (stopped.signal.aborted) break
  process.stderr.write(`${name} ...\n`)
  const started = performance.now()
  try {
    const findings = await part.run(bounds, stopped.signal)
    process.stdout.write(`\n${describeFindings(name, part.title, (performance.now() - started) / 1000, findings)}\n`)
    if (!isKept(findings)) process.exitCode = 1
  } catch (error) {
    process.exitCode = 1
    if (!stopped.signal.aborted)
      process.stderr.write(`proof: ${name}: ${error instanceof Error ? error.stack : String(error)}\n`)
  }
}
if (stopped.signal.aborted) process.exitCode = 130
else process.stdout.write(process.exitCode === 1 ? '\nA promise was broken.\n' : '\nEvery promise was kept.\n')
