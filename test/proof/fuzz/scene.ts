/** A host to be fuzzed, deep inside its own directory, so that a path traversal is detected. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Droplet } from '../../../fixtures/droplet.ts'
import { makeLineage } from '../../helpers/arrange.ts'
import { type RealHost, startHost } from '../../helpers/system/host.ts'

export interface Scene {
  readonly host: RealHost
  readonly droplet: Droplet
  /** Domains for which certbot's directory has a certificate. */
  readonly certified: readonly string[]
  readonly secrets: readonly string[]
  /** The arguments of each call of certbot. */
  certbotCalls(): readonly (readonly string[])[]
  /** Files that appeared or changed where the API must not write. */
  strayFiles(): readonly string[]
  close(): Promise<void>
}

/** Directories of the instance in which NGINX, certbot and the API write. */
const ALLOWED = ['sites-available', 'sites-enabled', 'letsencrypt', 'state', 'logs', 'temp']
const CERTIFIED = ['secure.fuzz.example', 'safe.fuzz.example']

/** Starts it; certbot is a fake that records its calls, and fails. */
export async function startScene(environment: Readonly<Record<string, string>> = {}): Promise<Scene> {
  const outer = mkdtempSync(join(tmpdir(), 'proxy-manager-fuzz-'))
  const root = join(outer, 'a/b/c/d/host')
  mkdirSync(root, { recursive: true })
  // NGINX's workers must be able to read the webroot.
  for (let folder = root; folder.length >= outer.length; folder = join(folder, '..')) chmodSync(folder, 0o755)
  const calls = join(outer, 'certbot-calls')
  const certbot = join(outer, 'certbot')
  writeFileSync(
    certbot,
    `#!/bin/sh\n{ printf '%s\\0' "$@"; printf '\\n'; } >> '${calls}'\necho 'the CA says no'\nexit 1\n`,
  )
  chmodSync(certbot, 0o755)
  writeFileSync(calls, '')
  for (const domain of CERTIFIED) {
    const folder = join(root, 'letsencrypt/live', domain)
    mkdirSync(folder, { recursive: true })
    const { fullchain, privkey } = makeLineage(domain)
    writeFileSync(join(folder, 'fullchain.pem'), fullchain)
    writeFileSync(join(folder, 'privkey.pem'), privkey, { mode: 0o600 })
  }
  const host = await startHost(
    { root },
    {
      CERTBOT_BIN: certbot,
      SSL_PREFLIGHT: 'off',
      HEALTH_CHECK_TIMEOUT_MS: '100',
      // No generated name is queried beyond this host.
      DNS_SERVERS: '127.0.0.1:9',
      RES_OPTIONS: 'attempts:1 timeout:1',
      ...environment,
    },
  ).catch((error) => {
    rmSync(outer, { recursive: true, force: true })
    throw error
  })
  const droplet = await host.droplet('droplet')
  const before = standing(outer, root)
  const secrets = Object.entries(environment).flatMap(([name, value]) => (name.endsWith('_TOKEN') ? [value] : []))
  return {
    host,
    droplet,
    certified: CERTIFIED,
    secrets,
    certbotCalls: () =>
      readFileSync(calls, 'utf8')
        .split('\0\n')
        .filter((line) => line !== '')
        .map((line) => line.split('\0')),
    strayFiles: () => {
      const now = standing(outer, root)
      const changed = [...now].filter(([path, what]) => before.get(path) !== what).map(([path]) => path)
      const gone = [...before.keys()].filter((path) => !now.has(path)).map((path) => `${path}, which is gone`)
      return [...changed, ...gone]
    },
    close: async () => {
      await host.close()
      rmSync(outer, { recursive: true, force: true })
    },
  }
}

/** Every path under a directory, and a few beyond it, with its contents; where writing is allowed, only that it exists. */
function standing(outer: string, root: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  const walk = (folder: string) => {
    for (const name of readdirSync(folder)) {
      const path = join(folder, name)
      const isAllowed = ALLOWED.some((allowed) => path === join(root, allowed))
      const isOurs = path === join(outer, 'certbot-calls') || path === join(root, 'nginx.pid')
      // A candidate is beside the main configuration while it is tested.
      if (isOurs || (folder === root && /^\.(proxy-manager-[\w-]+|test)\.(conf|pid)$/.test(name))) continue
      const stat = lstatSync(path, { throwIfNoEntry: false })
      if (stat === undefined) continue
      if (stat.isFile()) found.set(path, readFileSync(path, 'latin1'))
      else found.set(path, stat.isDirectory() ? 'a folder' : 'neither a file nor a folder')
      if (stat.isDirectory() && !isAllowed) walk(path)
    }
  }
  walk(outer)
  // The last one is the API's working directory.
  const beyond = ['/etc/nginx', '/etc/nginx/sites-available', '/etc/nginx/sites-enabled', '/etc/letsencrypt', '/']
  for (const folder of beyond) found.set(folder, existsSync(folder) ? readdirSync(folder).sort().join(' ') : 'nothing')
  return found
}
