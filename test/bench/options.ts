/** The benchmarks' command line. */
import { parseArgs } from 'node:util'

export const PARTS = ['changes', 'caddy', 'throughput', 'handshakes', 'checks'] as const
export const SCHEMES = ['http', 'https'] as const
export type PartName = (typeof PARTS)[number]
export type Scheme = (typeof SCHEMES)[number]

export interface Options {
  readonly only: readonly PartName[]
  readonly routes: readonly number[]
  readonly schemes: readonly Scheme[]
  readonly runs: number
  /** Whether the routes of throughput have the option `buffering`. */
  readonly buffering: boolean
}

export const HELP = `npm run bench [-- options]

  --only PART,...      changes     a change against what NGINX itself needs for it, and against a script that reloads
                       caddy       changes, single and concurrent, against Caddy's admin API
                       throughput  a proxied route against a hand-tuned NGINX and Caddy
                       handshakes  full TLS handshakes against a hand-tuned NGINX
                       checks      processor time of the health checks of upstreams
                       all of them unless given
  --routes N,...       numbers of routes for changes, caddy and checks, 1 to 5000 each (1,100,1000)
  --scheme S,...       http, https: schemes of the routes for changes (http,https)
  --runs N             rounds, 1 to 200; the longer measurements take at most 5 of them (15)
  --buffering          throughput: with the routes' option buffering, which the hand-tuned NGINX has as well
  --help               this text

Prints medians and whether they reach their targets; asserts nothing.
`

/** The options of these arguments, or the message about a fault in them; `help` if that was requested. */
export function readOptions(args: readonly string[]): Options | { readonly fault: string } | 'help' {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        only: { type: 'string', default: PARTS.join() },
        routes: { type: 'string', default: '1,100,1000' },
        scheme: { type: 'string', default: SCHEMES.join() },
        runs: { type: 'string', default: '15' },
        buffering: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) return 'help'
    const [runs = 0] = integersOf('runs', values.runs, 200)
    return {
      only: wordsOf('only', values.only, PARTS),
      routes: integersOf('routes', values.routes, 5000),
      schemes: wordsOf('scheme', values.scheme, SCHEMES),
      runs,
      buffering: values.buffering,
    }
  } catch (error) {
    return { fault: error instanceof Error ? error.message : String(error) }
  }
}

function integersOf(name: string, text: string, max: number): number[] {
  return text.split(',').map((word) => {
    const count = Number(word)
    if (Number.isInteger(count) && count >= 1 && count <= max) return count
    throw new Error(`--${name}: got "${word}", expects integers from 1 to ${max}`)
  })
}

function wordsOf<Word extends string>(name: string, text: string, words: readonly Word[]): Word[] {
  return text.split(',').map((given) => {
    const word = words.find((known) => known === given)
    if (word !== undefined) return word
    throw new Error(`--${name}: got "${given}", expects ${words.join(', ')}`)
  })
}
