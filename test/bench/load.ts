/** Load, made by wrk and h2load. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type Protocol = 'http' | 'https' | 'h2'

/** A request target: a path of a domain, whatever its name resolves to, at a loopback port. */
export interface Target {
  readonly protocol: Protocol
  readonly domain: string
  readonly port: number
  readonly path: string
}

/** More than the connections to an upstream that a server block with a small limit may keep. */
export const CONNECTIONS = 64
const SECONDS = 2
/** Far below the capacity of any contender, so that their latency is measured and not their queue. */
const STEADY_CONNECTIONS = 20
export const STEADY_RATE = 1000

/** Requests a second over 64 kept connections, as fast as they are answered, for two seconds; and their total. */
export async function saturate(target: Target, stopped: AbortSignal): Promise<Rate> {
  const { protocol, domain, port, path } = target
  if (protocol === 'http') {
    const load = ['-t1', `-c${CONNECTIONS}`, `-d${SECONDS}s`, '-H', `Host: ${domain}`]
    const output = await run('wrk', [...load, `http://127.0.0.1:${port}${path}`], stopped)
    if (/Non-2xx|Socket errors/.test(output)) throw new Error(`wrk: ${output}`)
    return rateOf(output, /Requests\/sec:\s+([\d.]+)/, /(\d+) requests in/)
  }
  // wrk sends the host of the URL as SNI, which must be the address.
  const output = await h2load(target, ['-c', String(CONNECTIONS), '-D', String(SECONDS)], stopped)
  return rateOf(output, H2LOAD_RATE, H2LOAD_DONE)
}

/** Microseconds that each request took, at 1000 a second over 20 connections for two seconds. */
export async function steady(target: Target, stopped: AbortSignal): Promise<readonly number[]> {
  const file = join(tmpdir(), `proxy-manager-h2load-${process.pid}`)
  const each = String(STEADY_RATE / STEADY_CONNECTIONS)
  const load = ['-c', String(STEADY_CONNECTIONS), '-D', String(SECONDS), '--rps', each, '--log-file', file]
  try {
    await h2load(target, load, stopped)
    const lines = readFileSync(file, 'utf8').trim().split('\n')
    return lines.map((line) => Number(line.split('\t')[2]))
  } finally {
    rmSync(file, { force: true })
  }
}

/** Requests a second, each over its own connection: for HTTPS as many full handshakes a second. */
export async function reconnect(target: Target, count: number, stopped: AbortSignal): Promise<Rate> {
  const load = ['-c', String(CONNECTIONS), '-n', String(count), '-H', 'Connection: close']
  return rateOf(await h2load(target, load, stopped), H2LOAD_RATE, H2LOAD_DONE)
}

export interface Rate {
  readonly perSecond: number
  readonly count: number
}

const H2LOAD_RATE = /finished in .*?, ([\d.]+) req\/s/
const H2LOAD_DONE = /(\d+) succeeded/

async function h2load({ protocol, domain, port, path }: Target, load: readonly string[], stopped: AbortSignal) {
  const version = protocol === 'h2' ? ['-m', '1'] : ['--h1']
  const scheme = protocol === 'http' ? 'http' : 'https'
  const args = [...version, ...load, `--connect-to=127.0.0.1:${port}`, `${scheme}://${domain}:${port}${path}`]
  const output = await run('h2load', args, stopped)
  if (!/, 0 failed, 0 errored, 0 timeout/.test(output)) throw new Error(`h2load: ${output}`)
  return output
}

function rateOf(output: string, perSecond: RegExp, count: RegExp): Rate {
  const rate = { perSecond: Number(perSecond.exec(output)?.[1]), count: Number(count.exec(output)?.[1]) }
  if (!(rate.count > 0)) throw new Error(`nothing was answered: ${output}`)
  return rate
}

async function run(file: string, args: readonly string[], signal: AbortSignal): Promise<string> {
  const child = spawn(file, args, { signal, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  const [exitCode] = await once(child, 'close')
  if (exitCode !== 0) throw new Error(`${file} ended with ${exitCode}: ${output}`)
  return output
}
