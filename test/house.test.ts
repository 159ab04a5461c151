/** The rules of the house: who may import whom, and where the world may be touched. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { endpoints } from '../functions/index.ts'
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

/** The part of the house that a file of ours belongs to; a package's own name otherwise. */
function partOf(path: string): string {
  if (path === 'lib/main.ts' || path === 'lib/open-host.ts') return 'main'
  return (
    /^lib\/(adapters|cli|core|engine|http)\//.exec(path)?.[1] ?? /^(functions|fixtures|test)\//.exec(path)?.[1] ?? path
  )
}

type Rule = (imported: Import, of: string) => boolean
const isNode = ({ from }: Import) => from.startsWith('node:')
const isOneOf =
  (...parts: readonly string[]): Rule =>
  ({ from }) =>
    parts.includes(partOf(from))
const isTypeOf =
  (part: string): Rule =>
  ({ from, isType }) =>
    isType && partOf(from) === part

const MAY_IMPORT: Readonly<Record<string, readonly Rule[]>> = {
  cli: [
    isOneOf('cli', 'main', 'core', 'valibot', 'package.json', 'node:util'),
    // Only the entry knows this host: the terminal, and the files that hold tokens.
    ({ from }, of) => of === 'lib/cli/main.ts' && ['lib/adapters/files.ts', 'lib/adapters/terminal.ts'].includes(from),
  ],
  main: [isOneOf('main', 'functions', 'http', 'engine', 'core', 'adapters', '@whatwg-node/server', 'package.json')],
  functions: [
    isOneOf('http', 'engine', 'core', 'valibot'),
    // Only the table knows other functions, and the router.
    ({ from }, of) => of === 'functions/index.ts' && (from === 'itty-router' || partOf(from) === 'functions'),
  ],
  http: [
    isOneOf('http', 'core', 'valibot', '@valibot/to-json-schema', 'node:http', 'node:crypto', 'node:stream'),
    isTypeOf('engine'),
    isTypeOf('adapters'),
  ],
  engine: [
    isOneOf('engine', 'core', 'valibot'),
    isTypeOf('adapters'),
    ({ from }, of) => of === 'lib/engine/registry-tokens.ts' && from.startsWith('jose/'),
  ],
  core: [isOneOf('core', 'valibot', 'diff', 'node:crypto', 'node:net', 'node:url')],
  adapters: [isOneOf('adapters', 'tinyexec', 'node-fetch', 'prom-client', 'tslog'), isNode],
}

for (const [part, rules] of Object.entries(MAY_IMPORT)) {
  test(`${part} imports what it may, and nothing else`, () => {
    const own = sources.filter(({ path }) => partOf(path) === part)
    assert.ok(own.length > 0)
    const strangers = own.flatMap(({ path, imports }) =>
      imports.filter((imported) => !rules.some((rule) => rule(imported, path))).map(({ from }) => `${path}: ${from}`),
    )
    assert.equal(strangers, [])
  })
}

test('every file belongs to a part of the house', () => {
  const homeless = sources.filter(({ path }) => !Object.hasOwn(MAY_IMPORT, partOf(path))).map(({ path }) => path)
  assert.equal(homeless, [])
})

/** Files that import a module, types left out. */
function importersOf(module: string): string[] {
  return sources
    .filter(({ imports }) => imports.some(({ from, isType }) => from === module && !isType))
    .map(({ path }) => path)
}

for (const [module, importers] of Object.entries({
  'node:fs/promises': ['lib/adapters/files.ts', 'lib/adapters/make-folder.ts'],
  // Those beside it hold a lock on a descriptor, and read what the kernel and the resolver show as files: /proc and resolv.conf.
  'node:fs': ['lib/adapters/files.ts', 'lib/adapters/lock.ts', 'lib/adapters/network.ts', 'lib/adapters/processes.ts'],
  tinyexec: ['lib/adapters/runner.ts'],
  'node-fetch': ['lib/adapters/probe.ts'],
  tslog: ['lib/adapters/log.ts'],
  'itty-router': ['functions/index.ts'],
  '@whatwg-node/server': ['lib/main.ts'],
  diff: ['lib/core/diff.ts'],
  'jose/jwt/verify': ['lib/engine/registry-tokens.ts'],
  // flock(1) has to inherit the descriptor that it locks.
  'node:child_process': ['lib/adapters/lock.ts'],
  'node:vm': [],
})) {
  test(`${module} is imported by ${importers.length === 0 ? 'nobody' : importers.join(', ')} alone`, () => {
    assert.equal(importersOf(module), importers)
  })
}

/** Files whose code matches, comments left out. */
function filesWith(pattern: RegExp): string[] {
  return sources.filter(({ text }) => pattern.test(code(text))).map(({ path }) => path)
}

test('the environment is read in one place, and kept from commands in another', () => {
  assert.equal(filesWith(/process\.env/), ['lib/adapters/runner.ts', 'lib/adapters/terminal.ts'])
})

test('the process itself is known to main and the adapters alone', () => {
  const strangers = filesWith(/\bprocess\.\w/).filter((path) => !['main', 'adapters'].includes(partOf(path)))
  assert.equal(strangers, [])
})

test('time and chance come from the clock', () => {
  const pattern =
    /\bDate\.now\(|\bnew Date\(\)|performance\.now\(|Math\.random\(|randomUUID\(|\bsetTimeout\(|\bsetInterval\(/
  // Draining its own connections is the listener's.
  const strangers = filesWith(pattern).filter(
    (path) => !['main', 'adapters'].includes(partOf(path)) && path !== 'lib/http/listener.ts',
  )
  assert.equal(strangers, [])
})

test('core is pure: nothing in it waits, reads or writes', () => {
  const waiting = sources.filter(
    ({ path, text }) => partOf(path) === 'core' && /\bawait\b|\basync\b|console\./.test(code(text)),
  )
  assert.equal(
    waiting.map(({ path }) => path),
    [],
  )
})

test('no command is a string, and none goes through a shell', () => {
  // A regular expression's exec has a pattern or a name in front of it.
  assert.equal(filesWith(/shell:|\bexecSync\b|\bexecFile\b|\bspawn(Sync)?\(|(?<![\w/)\].])exec\(|\/bin\/(ba)?sh/), [
    'lib/adapters/lock.ts',
  ])
})

test('nothing is cast away: no any, no assertion that something is there, no ignored error', () => {
  assert.equal(filesWith(/:\s*any\b|\bas any\b|<any>|@ts-(ignore|expect-error|nocheck)|\w!\.|\w!;/), [])
})

test('only catalogued errors are thrown on the way to an answer', () => {
  const strangers = filesWith(/\bthrow new (Type|Range)?Error\(/).filter((path) => ['functions'].includes(partOf(path)))
  assert.equal(strangers, [])
})

test('nothing is written to standard output but by main, the log and the terminal', () => {
  assert.equal(filesWith(/console\.|process\.std(out|err)/), ['lib/adapters/terminal.ts', 'lib/main.ts'])
})

test('no file is longer than 250 lines', () => {
  const long = sources
    .map(({ path, text }) => [path, text.split('\n').length - 1] as const)
    .filter(([, lines]) => lines > 250)
  assert.equal(long, [])
})

test('file names are kebab-case', () => {
  const odd = [...sources, ...read('test/**/*.ts'), ...read('fixtures/**/*.ts')]
    .map(({ path }) => path)
    .filter((path) => !/^([a-z0-9-]+\/)*[a-z0-9-]+(\.test)?\.ts$/.test(path))
  assert.equal(odd, [])
})

test('every file of functions/ is an endpoint, and all that they export is in the table', async () => {
  const files = sources.map(({ path }) => path).filter((path) => /^functions\/(?!index\.ts)/.test(path))
  const exported = await Promise.all(
    files.map(async (path): Promise<unknown[]> => {
      const { default: endpoint, ...others } = await import(join(root, path))
      assert.type(endpoint, 'function', path)
      return [endpoint, ...Object.values(others)]
    }),
  )
  const mounted: readonly unknown[] = endpoints
  assert.is(mounted.length, exported.flat().length)
  assert.ok(exported.flat().every((endpoint) => mounted.includes(endpoint)))
})

test('Node runs the API alike, whoever starts it', () => {
  const flags = NODE_FLAGS.join(' ')
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  assert.match(scripts.start, `exec node ${flags} lib/cli/main.ts serve`)
  assert.match(readFileSync(join(root, 'Dockerfile'), 'utf8'), `NODE_OPTIONS=${flags} `)
})

test('endpoints have names, methods and paths of their own', () => {
  const names = endpoints.map(({ route }) => route.operationId)
  const addresses = endpoints.flatMap(({ route }) =>
    [route, ...(route.also ?? [])].map(({ method, path }) => `${method} ${path.replace(/:\w+/g, ':')}`),
  )
  assert.is(new Set(names).size, endpoints.length)
  assert.is(new Set(addresses).size, addresses.length)
})

test('every endpoint has a test file', () => {
  const files = globSync('functions/*.ts', { cwd: root }).map((path) => path.replace(/\.ts$/, '.test.ts'))
  const tested = globSync('test/functions/*.test.ts', { cwd: root }).map((path) => path.replace(/^test\//, ''))
  assert.equal(files.filter((path) => !tested.includes(path)).sort(), [])
})

test('every test file runs its suites, and none is skipped or alone', () => {
  const tests = read('test/**/*.test.ts')
  assert.ok(tests.length > 10)
  for (const { path, text } of tests) {
    assert.match(code(text), /\.run\(\)/, path)
    if (path !== 'test/house.test.ts') assert.not.match(code(text), /\.(skip|only)\(/, path)
    const suites = [...code(text).matchAll(/\bsuite(?:<[^(]*>)?\(/g)].length
    assert.is([...code(text).matchAll(/\.run\(\)/g)].length, suites, path)
  }
})

test('tests reach into the product, never the product into tests or fixtures', () => {
  const strangers = sources.flatMap(({ path, imports }) =>
    imports.filter(({ from }) => ['test', 'fixtures'].includes(partOf(from))).map(({ from }) => `${path}: ${from}`),
  )
  assert.equal(strangers, [])
})

test.run()
