/** The architecture rules: which room may import which, and where the outside world may be touched. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { endpoints, page } from '../functions/index.ts'
import { NODE_FLAGS } from '../lib/cli/node-flags.ts'

const test = suite('house')
const root = join(import.meta.dirname, '..')

interface Source {
  readonly path: string
  readonly text: string
  readonly imports: readonly Import[]
}

interface Import {
  readonly from: string
  readonly isType: boolean
}

/** `import` and `export ... from`, static and dynamic. */
const IMPORT = /^(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|\bimport\('([^']+)'\)/gm

function read(pattern: string): Source[] {
  return globSync(pattern, { cwd: root })
    .sort()
    .map((path) => {
      const text = readFileSync(join(root, path), 'utf8')
      const imports = [...text.matchAll(IMPORT)].map(([, type, from, dynamic]) => {
        const target = from ?? dynamic ?? ''
        return {
          from: target.startsWith('.') ? join(path, '..', target) : target,
          isType: type !== undefined,
        }
      })
      return { path, text, imports }
    })
}

const sources = [...read('lib/**/*.ts'), ...read('functions/**/*.ts')]
const code = (text: string) => text.replace(/^\s*\/\*[\s\S]*?\*\//gm, '').replace(/^\s*\/\/.*$/gm, '')

/** The rooms from the bottom up: a file imports from its own room and from those above it in this list, types included. */
const FLOORS: readonly (readonly [room: string, packages: readonly string[]])[] = [
  ['lib/errors.ts', []],
  ['lib/net', ['valibot', 'ipaddr.js', 'node:net', 'node:url']],
  ['lib/adapters/disk', ['node:fs', 'node:fs/promises', 'node:path']],
  ['lib/adapters/http', ['node:http', 'node:https']],
  ['lib/adapters', ['tinyexec', 'node-fetch', 'prom-client', 'tslog', 'node:*']],
  ['lib/settings', ['valibot']],
  ['lib/host', ['valibot', 'node:path']],
  ['lib/certbot', ['valibot']],
  ['lib/events', ['valibot']],
  ['lib/certificates', ['valibot', 'node:crypto']],
  ['lib/keyring', ['valibot', 'node:crypto']],
  ['lib/upstream', ['valibot']],
  ['lib/route', ['valibot', 'node:crypto']],
  ['lib/nginx/config', ['node:path']],
  ['lib/nginx', ['valibot']],
  ['lib/render', ['valibot']],
  ['lib/snapshot', ['node:path']],
  ['lib/sites', ['valibot', 'node:path', 'node:util']],
  ['lib/candidate', ['node:path']],
  ['lib/plan', ['diff', 'node:path', 'node:util']],
  ['lib/history', ['valibot']],
  ['lib/change', ['valibot', 'node:path']],
  ['lib/adoption', []],
  ['lib/issuance', ['valibot', 'node:path']],
  ['lib/bulk', ['valibot']],
  ['lib/mesh', ['valibot', 'jose/*', 'node:crypto', 'node:util']],
  ['lib/health', ['valibot', 'node:path']],
  ['lib/explanation', ['valibot', 'node:path']],
  ['lib/engine', ['valibot']],
  ['lib/page', ['lit-html']],
  ['lib/page/views', ['lit-html']],
  ['lib/page/main.ts', ['lit-html']],
  ['lib/http/access', ['node:crypto']],
  ['lib/http/page', ['node:crypto', 'node:module', 'node:path', 'node:url']],
  ['lib/http', ['valibot', 'itty-router']],
  ['lib/http/openapi', ['valibot', '@valibot/to-json-schema']],
  ['lib/http/listener', ['node:http', 'node:stream']],
  ['functions', ['valibot']],
  ['lib', ['@whatwg-node/server', 'package.json']],
  ['lib/cli', ['valibot', 'commander']],
  ['lib/cli/commands', ['valibot', 'commander']],
  ['lib/cli/commands/host', ['valibot', 'commander', 'node:path']],
  ['lib/cli/program.ts', ['commander', 'package.json']],
  ['lib/cli/main.ts', []],
]

/** The index of the most specific room that a file is in; -1 if it is in none. */
function floorOf(path: string): number {
  const rooms = FLOORS.map(([room], floor) => ({ room, floor })).filter(
    ({ room }) => path === room || path.startsWith(`${room}/`),
  )
  return rooms.sort((a, b) => b.room.length - a.room.length)[0]?.floor ?? -1
}

for (const [floor, [room, packages]] of FLOORS.entries()) {
  test(`${room} imports only from itself and the rooms below it`, () => {
    const own = sources.filter(({ path }) => floorOf(path) === floor)
    assert.ok(own.length > 0)
    const isPackage = (from: string) =>
      packages.some((name) => (name.endsWith('*') ? from.startsWith(name.slice(0, -1)) : from === name))
    const isBelow = (from: string) => floorOf(from) >= 0 && floorOf(from) <= floor
    const strangers = own.flatMap(({ path, imports }) =>
      imports.filter(({ from }) => !isBelow(from) && !isPackage(from)).map(({ from }) => `${path}: ${from}`),
    )
    assert.equal(strangers, [])
  })
}

test('no room has more than 12 files', () => {
  const full = FLOORS.map(([room], floor) => [room, sources.filter(({ path }) => floorOf(path) === floor).length])
  assert.equal(
    full.filter(([room, count]) => room !== 'functions' && Number(count) > 12),
    [],
  )
})

/** Rooms in which nothing waits, reads or writes, and such files of other rooms. */
const PURE =
  /^lib\/(errors\.ts|net\/|settings\/|route\/|nginx\/config\/|render\/|plan\/|certificates\/(certificate|coverage|lineage-name|certbot-arguments|certbot-diagnostic|order-ledger)\.ts|explanation\/(asked-url|server-blocks|patterns|choose-server|choose-location|expected|summary)\.ts|mesh\/(registry-records|registry-key|token-claims|announcements|sync-selection)\.ts|health\/reasons\.ts)/

const partOf = (path: string) => {
  if (/^lib\/[^/]+\.ts$/.test(path) && path !== 'lib/errors.ts') return 'main'
  return /^lib\/(adapters)\//.exec(path)?.[1] ?? /^(functions|fixtures|test)\//.exec(path)?.[1] ?? path
}

/** Files that import a module, except for types. */
function importersOf(module: string): string[] {
  return sources
    .filter(({ imports }) => imports.some(({ from, isType }) => from === module && !isType))
    .map(({ path }) => path)
}

for (const [module, importers] of Object.entries({
  'node:fs/promises': ['lib/adapters/disk/folders.ts', 'lib/adapters/file-writes.ts'],
  // The others lock a descriptor, and read /proc and resolv.conf.
  'node:fs': [
    'lib/adapters/disk/folders.ts',
    'lib/adapters/files.ts',
    'lib/adapters/lock.ts',
    'lib/adapters/network.ts',
    'lib/adapters/processes.ts',
  ],
  tinyexec: ['lib/adapters/runner.ts'],
  'node-fetch': ['lib/adapters/http-client.ts'],
  tslog: ['lib/adapters/log.ts'],
  'ipaddr.js': ['lib/net/address.ts'],
  'itty-router': ['lib/http/app.ts'],
  '@whatwg-node/server': ['lib/api-server.ts'],
  diff: ['lib/plan/diff.ts'],
  'jose/jwt/verify': ['lib/mesh/verify-token.ts'],
  // flock(1) must inherit the descriptor that it locks.
  'node:child_process': ['lib/adapters/lock.ts'],
  'node:vm': [],
})) {
  test(`${module} is imported only by ${importers.length === 0 ? 'nobody' : importers.join(', ')}`, () => {
    assert.equal(importersOf(module), importers)
  })
}

/** Files whose code matches, without comments. */
function filesWith(pattern: RegExp): string[] {
  return sources.filter(({ text }) => pattern.test(code(text))).map(({ path }) => path)
}

test('only the terminal and the runner use process.env', () => {
  assert.equal(filesWith(/process\.env/), ['lib/adapters/runner.ts', 'lib/cli/terminal.ts'])
})

test('only main, the adapters and the terminal use the process object', () => {
  const strangers = filesWith(/\bprocess\.\w/).filter(
    (path) => !['main', 'adapters'].includes(partOf(path)) && path !== 'lib/cli/terminal.ts',
  )
  assert.equal(strangers, [])
})

test('time and randomness come from the clock adapter', () => {
  const pattern =
    /\bDate\.now\(|\bnew Date\(\)|performance\.now\(|Math\.random\(|randomUUID\(|\bsetTimeout\(|\bsetInterval\(/
  // The listener drains its own connections; the page has the clock of its browser.
  const strangers = filesWith(pattern).filter(
    (path) =>
      !['main', 'adapters'].includes(partOf(path)) &&
      path !== 'lib/cli/terminal.ts' &&
      !path.startsWith('lib/http/listener/') &&
      path !== 'lib/page/browser.ts',
  )
  assert.equal(strangers, [])
})

test('pure rooms are pure: nothing in them waits, reads or writes', () => {
  const waiting = sources.filter(
    ({ path, text }) => PURE.test(path) && /\bawait\b|\basync\b|console\./.test(code(text)),
  )
  assert.equal(
    waiting.map(({ path }) => path),
    [],
  )
})

test('no command is a string, and none goes through a shell', () => {
  // RegExp.exec is preceded by a pattern or a name.
  assert.equal(filesWith(/shell:|\bexecSync\b|\bexecFile\b|\bspawn(Sync)?\(|(?<![\w/)\].])exec\(|\/bin\/(ba)?sh/), [
    'lib/adapters/lock.ts',
  ])
})

test('no type is weakened: no any, no non-null assertion, no suppressed error', () => {
  assert.equal(filesWith(/:\s*any\b|\bas any\b|<any>|@ts-(ignore|expect-error|nocheck)|\w!\.|\w!;/), [])
})

test('endpoints throw only errors of the catalogue', () => {
  const strangers = filesWith(/\bthrow new (Type|Range)?Error\(/).filter((path) => ['functions'].includes(partOf(path)))
  assert.equal(strangers, [])
})

test('only main, the log and the terminal write to standard output', () => {
  assert.equal(filesWith(/console\.|process\.std(out|err)/), [
    'lib/cli/terminal.ts',
    'lib/main.ts',
    'lib/recover-once.ts',
  ])
})

test('no file is longer than 250 lines', () => {
  const long = sources
    .map(({ path, text }) => [path, text.split('\n').length - 1] as const)
    .filter(([, lines]) => lines > 250)
  assert.equal(long, [])
})

/** Every function with braces, as `path:line`, and how many lines it has; all code is formatted, so it ends at the first brace at its own indentation. */
function functionLengths({ path, text }: Source): (readonly [where: string, lines: number])[] {
  const lines = text.split('\n')
  const indentation = (line: string) => /^ *(?:[?:] )?/.exec(line)?.[0].length ?? 0
  return lines.flatMap((line, opening) => {
    const own = indentation(line)
    const begins = (other: string, pattern: RegExp) => indentation(other) === own && pattern.test(other.slice(own))
    // A signature of several lines ends with the line that closes its parameters.
    const isClosing = begins(line, /^[)}]/)
    const first = isClosing ? lines.findLastIndex((other, i) => i < opening && begins(other, /^[^)}\]]/)) : opening
    const isFunction = /(?:=>|\)|\): .+) \(?\{$/.test(line)
    if (!isFunction || begins(lines[first] ?? '', /^(?:\} )?(?:else )?(?:if|for|while|switch|catch)\b/)) return []
    const last = lines.findIndex((other, i) => i > opening && begins(other, /^\}/))
    return [[`${path}:${first + 1}`, last - first + 1] as const]
  })
}

test('no function is longer than 60 lines', () => {
  const lengths = sources.flatMap(functionLengths)
  assert.ok(lengths.length > 500, `${lengths.length} functions were found`)
  assert.equal(
    lengths.filter(([, lines]) => lines < 1 || lines > 60),
    [],
  )
})

test('file names are kebab-case', () => {
  const odd = [...sources, ...read('test/**/*.ts'), ...read('fixtures/**/*.ts')]
    .map(({ path }) => path)
    .filter((path) => !/^([a-z0-9-]+\/)*[a-z0-9-]+(\.test)?\.ts$/.test(path))
  assert.equal(odd, [])
})

test('every file of functions/ is an endpoint, and all its exports are in the table', async () => {
  const files = sources.map(({ path }) => path).filter((path) => /^functions\/(?!index\.ts)/.test(path))
  const exported = await Promise.all(
    files.map(async (path): Promise<unknown[]> => {
      const { default: endpoint, ...others } = await import(join(root, path))
      assert.type(endpoint, 'function', path)
      return [endpoint, ...Object.values(others)]
    }),
  )
  const mounted: readonly unknown[] = [...endpoints, ...page]
  assert.is(mounted.length, exported.flat().length)
  assert.ok(exported.flat().every((endpoint) => mounted.includes(endpoint)))
})

test("every way to start the API passes the same flags to Node, and none lets a signal open Node's debugger", () => {
  const flags = NODE_FLAGS.join(' ')
  assert.match(flags, '--disable-sigusr1')
  assert.match(readFileSync(join(root, 'lib/cli/main.ts'), 'utf8'), `#!/usr/bin/env -S node ${flags}\n`)
  const starts = readFileSync(join(root, 'lib/cli/node.sh'), 'utf8').match(/exec (node|"\S+") .*/g) ?? []
  assert.equal(starts, ['exec node --disable-sigusr1 "$@"; fi', 'exec node --disable-sigusr1 "$@"'])
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  assert.match(scripts.start, `exec sh lib/cli/node.sh ${flags} lib/cli/main.ts serve`)
  const image = readFileSync(join(root, 'Dockerfile'), 'utf8')
  assert.match(image, 'ln -s /opt/proxy-manager/dist/lib/cli/main.js /usr/local/bin/proxy-manager')
})

test('no two endpoints share a name, or a method and path', () => {
  const names = endpoints.map(({ operation }) => operation.operationId)
  const addresses = endpoints.flatMap(({ operation }) =>
    [operation, ...(operation.aliases ?? [])].map(({ method, path }) => `${method} ${path.replace(/:\w+/g, ':')}`),
  )
  assert.is(new Set(names).size, endpoints.length)
  assert.is(new Set(addresses).size, addresses.length)
})

test('every endpoint has a test file', () => {
  const files = globSync('functions/*.ts', { cwd: root }).map((path) => path.replace(/\.ts$/, '.test.ts'))
  const tested = globSync('test/functions/*.test.ts', { cwd: root }).map((path) => path.replace(/^test\//, ''))
  assert.equal(files.filter((path) => !tested.includes(path)).sort(), [])
})

test('every test file runs its suites, and no test is skipped or exclusive', () => {
  const tests = read('test/**/*.test.ts')
  assert.ok(tests.length > 10)
  for (const { path, text } of tests) {
    assert.match(code(text), /\.run\(\)/, path)
    if (path !== 'test/house.test.ts') assert.not.match(code(text), /\.(skip|only)\(/, path)
    const suites = [...code(text).matchAll(/\bsuite(?:<[^(]*>)?\(/g)].length
    assert.is([...code(text).matchAll(/\.run\(\)/g)].length, suites, path)
  }
})

test('the product imports neither tests nor fixtures', () => {
  const strangers = sources.flatMap(({ path, imports }) =>
    imports.filter(({ from }) => ['test', 'fixtures'].includes(partOf(from))).map(({ from }) => `${path}: ${from}`),
  )
  assert.equal(strangers, [])
})

test.run()
