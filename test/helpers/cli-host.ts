/** A host for the commands that work without the API: directories of its own, and no NGINX. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'uvu'
import { COMPILE_CACHE } from '../../fixtures/manager.ts'
import type { Ended } from './cli.ts'

export interface CliHost {
  root: string
  environment: Record<string, string>
}

export const ENTRY = fileURLToPath(new URL('../../lib/cli/main.ts', import.meta.url))

/** Gives each test of this suite a host. */
export function onHost(test: Test<CliHost>): void {
  test.before.each((context) => {
    const root = mkdtempSync(join(tmpdir(), 'proxy-manager-cli-'))
    for (const name of ['state', 'sites-available', 'sites-enabled', 'letsencrypt']) mkdirSync(join(root, name))
    context.root = root
    context.environment = {
      PROXY_MANAGER_STATE_DIR: join(root, 'state'),
      NGINX_SITES_AVAILABLE: join(root, 'sites-available'),
      NGINX_SITES_ENABLED: join(root, 'sites-enabled'),
      NGINX_BIN: join(root, 'no-nginx'),
      NGINX_CONF: join(root, 'nginx.conf'),
      CERTBOT_CONFIG_DIR: join(root, 'letsencrypt'),
    }
    writeFileSync(join(root, 'nginx.conf'), `events {}\nhttp { include ${root}/sites-enabled/*; }\n`)
  })
  test.after.each(({ root }) => rmSync(root, { recursive: true, force: true }))
}

/** Runs the command line in a process of its own. */
export async function runProcess(argv: readonly string[], environment: Record<string, string>): Promise<Ended> {
  const child = spawn(process.execPath, [ENTRY, ...argv], {
    env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: COMPILE_CACHE, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString()
  })
  const [status] = await once(child, 'close')
  return { status, out, err }
}
