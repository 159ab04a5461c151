/**
 * How long changes take, measured against what NGINX itself needs. Prints figures and whether they reach their targets; asserts nothing.
 *
 *     npm run bench [-- --routes 1,100,1000] [--runs 15]
 */
import { parseArgs } from 'node:util'
import { type Figures, measure } from './measure.ts'
import { describeFigures, describeMachine, describeTargets } from './report.ts'

const { values } = parseArgs({
  options: { routes: { type: 'string', default: '1,100,1000' }, runs: { type: 'string', default: '15' } },
})
const routes = values.routes.split(',').map((count) => bounded('routes', count, 5000))
const runs = bounded('runs', values.runs, 200)

function bounded(name: string, text: string, max: number): number {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1 || count > max) {
    process.stderr.write(`bench: --${name}: got "${text}", takes integers from 1 to ${max}\n`)
    process.exit(2)
  }
  return count
}

const stopped = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopped.abort())

process.stdout.write(`${describeMachine()}\nmedians of ${runs} runs, floor and change in turn\n\n`)
const all: Figures[] = []
try {
  for (const count of routes) {
    process.stderr.write(`measuring with ${count} ${count === 1 ? 'route' : 'routes'} ...\n`)
    all.push(await measure(count, runs, stopped.signal))
  }
  process.stdout.write(`${describeFigures(all)}\n\n${describeTargets(all)}\n`)
} catch (error) {
  process.exitCode = stopped.signal.aborted ? 130 : 1
  if (!stopped.signal.aborted)
    process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`)
}
