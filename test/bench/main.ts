/**
 * Measures the product against NGINX itself, a hand-tuned NGINX, and Caddy. Prints figures and whether they reach their targets; asserts nothing.
 *
 *     npm run bench [-- --help]
 */
import { setTimeout } from 'node:timers/promises'
import { HELP, type Options, type PartName, readOptions } from './options.ts'
import { benchCaddy } from './parts/caddy.ts'
import { benchChanges } from './parts/changes.ts'
import { benchChecks } from './parts/checks.ts'
import { benchHandshakes } from './parts/handshakes.ts'
import { benchThroughput } from './parts/throughput.ts'
import { describeMachine, isInstalled, type Program } from './programs.ts'
import { describeTarget, type Findings } from './report.ts'

interface Part {
  /** The programs without which the part cannot run. */
  readonly needs: readonly Program[]
  run(options: Options, stopped: AbortSignal): Promise<Findings>
}

const PARTS: Readonly<Record<PartName, Part>> = {
  changes: { needs: [], run: benchChanges },
  caddy: { needs: ['caddy'], run: benchCaddy },
  throughput: { needs: [], run: benchThroughput },
  checks: { needs: [], run: benchChecks },
  handshakes: { needs: ['h2load'], run: benchHandshakes },
}

async function main(options: Options, stopped: AbortSignal): Promise<void> {
  process.stdout.write(
    `${describeMachine()}\nmedians of up to ${options.runs} rounds, in which the contenders take turns\n`,
  )
  for (const name of options.only) {
    const { needs, run } = PARTS[name]
    const missing = needs.filter((program) => !isInstalled(program))
    if (missing.length > 0) {
      process.stdout.write(`\n${name} is left out, because this is missing: ${missing.join(', ')}\n`)
      continue
    }
    const { tables, targets } = await run(options, stopped)
    const lines = targets.map((target) => describeTarget(target)).join('\n')
    process.stdout.write(`\n${[...tables, lines].join('\n\n')}\n`)
  }
}

const options = readOptions(process.argv.slice(2))
if (options === 'help') {
  process.stdout.write(HELP)
} else if ('fault' in options) {
  process.stderr.write(`bench: ${options.fault}\n`)
  process.exitCode = 2
} else {
  const stopped = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopped.abort())
  await main(options, stopped.signal).catch(async (error: unknown) => {
    // Ctrl-C reaches NGINX and the API as well, and their exit may be seen before the signal.
    await setTimeout(100)
    process.exitCode = stopped.signal.aborted ? 130 : 1
    if (!stopped.signal.aborted)
      process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`)
  })
}
