/** The command line of a proof: which of its parts run, and with which bounds. */
import { inspect, parseArgs } from 'node:util'
import { describeMachine } from '../bench/programs.ts'
import { describeFindings, isKept, type Part } from './findings.ts'

export interface Bound {
  readonly full: number
  readonly quick: number
  readonly max: number
  /** What `--help` prints instead of the two numbers if they differ each time. */
  readonly given?: string
  /** The parts that it applies to, and what it counts there. */
  readonly says: string
}

export interface Proof<B> {
  readonly script: string
  /** What it does, for `--help`. */
  readonly purpose: string
  readonly parts: Readonly<Record<string, Part<B>>>
  readonly bounds: { readonly [K in keyof B & string]: Bound }
  /** What it requires, and how to continue after a finding. */
  readonly notes: string
}

/** Runs the requested parts, and prints their findings; the process exits with 1 if a promise was broken. */
export async function runProof<B extends object>(
  proof: Proof<B>,
  toBounds: (read: (name: keyof B & string) => number) => B,
): Promise<void> {
  const { parts, bounds } = proof
  const names = Object.keys(parts)
  const given = readArguments(Object.keys(bounds), names)
  if (given.help === true) {
    process.stdout.write(`${helpOf(proof)}\n`)
    return
  }
  const chosen = String(given.only)
    .split(',')
    .map((name) => {
      const part = Object.hasOwn(parts, name) ? parts[name] : undefined
      return part === undefined ? refuse(`--only: got "${name}", expects ${names.join(', ')}`) : ([name, part] as const)
    })
  const limits = toBounds((name) => {
    const { full, quick, max } = bounds[name]
    const text = given[name]
    if (text === undefined) return given.quick === true ? quick : full
    const count = Number(text)
    if (Number.isInteger(count) && count >= 1 && count <= max) return count
    return refuse(`--${name}: got "${text}", expects an integer from 1 to ${max}`)
  })

  const stopped = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopped.abort())
  process.stdout.write(`${describeMachine()}\n`)
  for (const [name, part] of chosen) {
    if (stopped.signal.aborted) break
    process.stderr.write(`${name} ...\n`)
    const started = performance.now()
    try {
      const findings = await part.run(limits, stopped.signal)
      process.stdout.write(`\n${describeFindings(name, part.title, (performance.now() - started) / 1000, findings)}\n`)
      if (!isKept(findings)) process.exitCode = 1
    } catch (error) {
      process.exitCode = 1
      if (!stopped.signal.aborted) process.stderr.write(`proof: ${name}: ${inspect(error)}\n`)
    }
  }
  if (stopped.signal.aborted) process.exitCode = 130
  else process.stdout.write(process.exitCode === 1 ? '\nA promise was broken.\n' : '\nEvery promise was kept.\n')
}

function helpOf<B>({ script, purpose, parts, bounds, notes }: Proof<B>): string {
  const lines = Object.entries<Bound>(bounds).map(
    ([name, { full, quick, given, says }]) =>
      `  --${`${name} N`.padEnd(13)} ${says} (${given ?? `${full}; quick: ${quick}`})`,
  )
  return `${purpose} Exits with 1 if a promise is broken.

  npm run ${script} [-- options]

  --only A,B,..   only these parts: ${Object.keys(parts).join(', ')}
  --quick         small numbers: minutes become seconds
${lines.join('\n')}

${notes}`
}

function readArguments(bounds: readonly string[], parts: readonly string[]): Record<string, unknown> {
  try {
    return parseArgs({
      options: {
        ...Object.fromEntries(bounds.map((name) => [name, { type: 'string' } as const])),
        only: { type: 'string', default: parts.join(',') },
        quick: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error))
  }
}

function refuse(message: string): never {
  process.stderr.write(`proof: ${message}\n`)
  process.exit(2)
}
