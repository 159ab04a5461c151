/**
 * Runs the tests on a real host with the NGINX, OpenSSL and certbot of several Debian releases, and prints a table.
 *
 *     npm run test:releases -- [--only bullseye,trixie] [--cache DIRECTORY] [part of a test file's name ...]
 *
 * Each release is unpacked once, by debootstrap, into the cache directory, and entered by chroot: that needs root and Debian's packages.
 * The process ends with 1 if a test fails or a release cannot be unpacked.
 */
import { spawn } from 'node:child_process'
import { createWriteStream, globSync, mkdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const RELEASES = new Map([
  ['bullseye', 'Debian 11'],
  ['bookworm', 'Debian 12'],
  ['trixie', 'Debian 13'],
])
/** About the package and the manual, with npm, and the page, with a browser, and not about NGINX or certbot. */
const NOT_ABOUT_A_HOST = ['package', 'page', 'page-views', 'readme-examples']

const clone = fileURLToPath(new URL('../../', import.meta.url))
const cacheHome = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache')
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string', default: [...RELEASES.keys()].join(',') },
    cache: { type: 'string', default: join(cacheHome, 'proxy-manager', 'releases') },
  },
})
const every = globSync('test/system/*.test.ts', { cwd: clone })
  .map((file) => file.replace(/^test\//, ''))
  .filter((file) => !NOT_ABOUT_A_HOST.some((name) => file === `system/${name}.test.ts`))
const files = every.filter((file) => positionals.length === 0 || positionals.some((part) => file.includes(part)))

interface Row {
  readonly name: string
  /** The versions of NGINX, OpenSSL and certbot. */
  readonly versions: readonly string[]
  readonly verdict: string
  readonly isGreen: boolean
}

const rows: Row[] = []
mkdirSync(values.cache, { recursive: true })
for (const release of values.only.split(',')) {
  const row = await testRelease(release)
  process.stdout.write(`${row.name}: ${row.verdict}\n`)
  rows.push(row)
}
process.stdout.write(`\n| release | NGINX | OpenSSL | certbot | tests |\n|---|---|---|---|---|\n`)
for (const { name, versions, verdict } of rows)
  process.stdout.write(`| ${[name, ...[0, 1, 2].map((i) => versions[i] ?? '–'), verdict].join(' | ')} |\n`)
process.exit(rows.every(({ isGreen }) => isGreen) ? 0 : 1)

async function testRelease(release: string): Promise<Row> {
  const name = RELEASES.get(release) ?? release
  const root = join(values.cache, release)
  const log = `${root}.log`
  const made = await run(['sh', 'test/releases/make-root.sh', release, root], log)
  const red = (verdict: string): Row => ({ name, versions: [], verdict, isGreen: false })
  if (made !== 0) return red(`could not be unpacked: see ${log}`)
  const inside = (command: readonly string[]) =>
    run(['sh', 'test/releases/in-release.sh', root, process.execPath, ...command], log)
  await inside(['sh', '-c', 'nginx -V; certbot --version'])
  const facts = readFileSync(log, 'utf8')
  const versions = [/nginx\/(\S+)/, /(?:running|built) with OpenSSL (\S+)/, /^certbot (\S+)/m].map(
    (pattern) => pattern.exec(facts)?.[1] ?? '–',
  )
  await inside(['node', 'test/run.ts', ...files])
  const output = readFileSync(log, 'utf8')
  const [, passed, failed] = /^(\d+) passed, (\d+) failed$/m.exec(output) ?? []
  if (passed === undefined) return { ...red(`did not run: see ${log}`), versions }
  for (const [line] of output.matchAll(/^.*(?:FAIL |could not be set up).*$/gm)) process.stdout.write(`${line}\n`)
  return { name, versions, verdict: `${passed} passed, ${failed} failed`, isGreen: failed === '0' }
}

/** The exit status of a command; its output replaces the log. */
async function run([command = '', ...args]: readonly string[], log: string): Promise<number> {
  const output = createWriteStream(log)
  const child = spawn(command, args, { cwd: clone, stdio: ['ignore', 'pipe', 'pipe'] })
  for (const stream of [child.stdout, child.stderr]) stream.pipe(output, { end: false })
  return await new Promise((resolve) =>
    child.once('close', (status) => {
      output.end(() => resolve(status ?? 1))
    }),
  )
}
