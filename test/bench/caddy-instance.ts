/** A real Caddy with its own admin port and directories: never the system's service or its data. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { call } from '../../fixtures/call.ts'
import { freePort } from '../../fixtures/free-port.ts'
import { LIMIT_MS } from './turns.ts'
import type { Undo } from './undo.ts'

export interface CaddyInstance {
  /** The URL of its admin API. */
  readonly admin: string
  readonly pid: number
}

const GRACE_MS = 5000

/** A route as its JSON has it: every request for a domain to an upstream. */
export function caddyRoute(id: string, domain: string, upstreamPort: number) {
  return {
    '@id': id,
    match: [{ host: [domain] }],
    handle: [{ handler: 'reverse_proxy', upstreams: [{ dial: `127.0.0.1:${upstreamPort}` }] }],
    terminal: true,
  }
}

/** Starts it with these apps, and waits until it answers; it saves each configuration on disk, which is its default. */
export async function startCaddy(undo: Undo, apps: Readonly<Record<string, unknown>>): Promise<CaddyInstance> {
  const folder = mkdtempSync(join(tmpdir(), 'proxy-manager-caddy-'))
  undo.push(() => rmSync(folder, { recursive: true, force: true }))
  const listen = `127.0.0.1:${await freePort()}`
  const file = join(folder, 'caddy.json')
  const logging = { logs: { default: { level: 'ERROR' } } }
  const storage = { module: 'file_system', root: join(folder, 'storage') }
  writeFileSync(file, JSON.stringify({ admin: { listen }, logging, storage, apps }))
  const env = { PATH: process.env.PATH, HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder }
  const child = spawn('caddy', ['run', '--config', file], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  const exited = once(child, 'exit')
  let output = ''
  child.stderr.on('data', (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-4096)
  })
  undo.push(async () => {
    child.kill('SIGTERM')
    const late = new AbortController()
    await Promise.race([exited, setTimeout(GRACE_MS, undefined, { signal: late.signal }).catch(() => undefined)])
    late.abort()
    child.kill('SIGKILL')
    await exited
  })
  const admin = `http://${listen}`
  const deadline = performance.now() + LIMIT_MS
  while (performance.now() < deadline && child.exitCode === null && child.signalCode === null) {
    const answer = await call(`${admin}/config/admin/listen`).catch(() => undefined)
    if (answer?.status === 200) return { admin, pid: child.pid ?? 0 }
    await setTimeout(10)
  }
  throw new Error(`Caddy did not start: ${output}`)
}
