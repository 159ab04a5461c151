import { globSync, readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { parse } from 'yaml'
import { endpoints } from '../functions/index.ts'
import { ERRORS, type ErrorCode, ProxyManagerError, statusesOf } from '../lib/errors.ts'
import { EVENT_TYPES } from '../lib/events/event.ts'
import { STEPS } from '../lib/events/progress.ts'
import { ErrorDetails } from '../lib/http/openapi/error-schema.ts'
import { failureFields } from '../lib/http/request-log.ts'
import { DEFAULT_OPTIONS } from '../lib/route/options.ts'
import { describeSettings } from '../lib/settings/settings.ts'
import { readProse } from './helpers/fenced-blocks.ts'
import { type Page, ROOT, readPage, readPages } from './helpers/manual-pages.ts'

const test = suite('manual')

const Compose = v.object({
  services: v.object({
    'proxy-manager': v.object({
      environment: v.record(v.string(), v.string()),
      volumes: v.array(v.string()),
      stop_grace_period: v.pipe(v.string(), v.regex(/^\d+s$/)),
    }),
  }),
})

const pages = readPages()
const [readme, api, operating, settingsPage] = [
  readPage('README.md'),
  readPage('functions/README.md'),
  readPage('lib/cli/README.md'),
  readPage('lib/settings/README.md'),
]
const defaultOf = (name: string) => describeSettings().find((setting) => setting.name === name)?.defaultText

/** The rows of a page's tables whose first cell is a word in backticks, without the backticks. */
function rowsOf({ text }: Page): readonly (readonly string[])[] {
  return text
    .split('\n')
    .filter((line) => /^\| `[^`]+` \|/.test(line))
    .map((line) => line.split('|').map((cell) => cell.trim().replaceAll('`', '')))
}

/** The cells of the only table row whose first cell is this word. */
function row(page: Page, word: string): readonly string[] {
  const rows = rowsOf(page).filter(([, first]) => first === word)
  assert.is(rows.length, 1, `${page.path}: ${rows.length} table rows begin with ${word}`)
  return rows[0] ?? []
}

test('the table of settings has every setting with its default, and the README repeats some of them', () => {
  for (const { name, defaultText } of describeSettings())
    assert.is(row(settingsPage, name)[2], defaultText === '' ? '–' : defaultText, name)
  const repeated = rowsOf(readme).filter(([, name = '']) => defaultOf(name) !== undefined)
  assert.is(repeated.length, 6)
  for (const [, name = '', shown] of repeated) assert.is(shown, defaultOf(name) || '–', name)
})

test('the table of options has every option of a route, with its default', () => {
  for (const [name, unset] of Object.entries(DEFAULT_OPTIONS))
    assert.is(row(api, name)[2], typeof unset === 'string' ? unset : JSON.stringify(unset), name)
})

test('the table of errors has every code with its status, when it happens and what to do', () => {
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    const [, , shown, when = '', remedy = ''] = row(api, code)
    assert.is(shown, [...statusesOf(code)].sort().join(', '), code)
    assert.ok(when !== '' && remedy !== '', `${code} has an empty cell`)
  }
})

/** The text between this heading and the next one. */
function section({ text: page }: Page, heading: string): string {
  const [, text = ''] = page.split(`\n${heading}\n`)
  return text.split(/\n#+ /)[0] ?? ''
}

test('the section about errors has every detail that an error may have', () => {
  const errors = section(api, '## Errors')
  assert.equal(
    Object.keys(ErrorDetails.entries).filter((name) => !errors.includes(`\`${name}\``)),
    [],
  )
})

test('the section about the log has every field that the log has of a failure', () => {
  const details = Object.fromEntries(Object.keys(ErrorDetails.entries).map((name) => [name, '']))
  const names = Object.keys(failureFields(new ProxyManagerError('INTERNAL', { details, cause: new Error() })))
  assert.ok(names.includes('cause') && names.includes('state'))
  const logs = section(operating, '## Logs')
  assert.equal(
    names.filter((name) => !logs.includes(`\`${name}\``)),
    [],
  )
})

test('the API reference has every type of event, and every step of a call', () => {
  for (const type of EVENT_TYPES) assert.ok(api.text.includes(`\`${type}\``), type)
  const rows = rowsOf(api).map(([, first]) => first)
  for (const step of STEPS) assert.ok(rows.includes(step), step)
})

test('the API reference has every endpoint under each of its methods and paths, and the README has one row for each', () => {
  const calls = endpoints.map(({ operation }) =>
    [operation, ...(operation.aliases ?? [])].map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`),
  )
  for (const call of calls.flat()) assert.ok(api.text.includes(`\`${call}\``), `${call} is missing`)
  for (const [call = ''] of calls) row(readme, call)
})

test('the compose example sets what is a setting, keeps what the image has as volumes, and waits for both programs to end', () => {
  const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8')
  const [, text = ''] = /```yaml\n(services:[^`]+)```/.exec(operating.text) ?? []
  const service = v.parse(Compose, parse(text)).services['proxy-manager']
  const names = describeSettings().flatMap(({ name }) => (name.endsWith('_TOKEN') ? [name, `${name}_FILE`] : [name]))
  for (const name of Object.keys(service.environment)) assert.ok(names.includes(name), name)
  // The default is an address of nobody who runs this.
  assert.ok(Object.hasOwn(service.environment, 'DEFAULT_SSL_EMAIL'))
  const volumes = v.parse(v.array(v.string()), JSON.parse(/^VOLUME (.+)$/m.exec(dockerfile)?.[1] ?? ''))
  assert.equal(service.volumes.map((volume) => volume.split(':')[1]).sort(), [...volumes].sort())
  const supervisor = readFileSync(join(ROOT, 'fixtures/image/supervisord.conf'), 'utf8')
  const waits = [...supervisor.matchAll(/^stopwaitsecs=(\d+)$/gm)].map(([, seconds]) => Number(seconds))
  assert.is(waits.length, 2)
  assert.ok(Number.parseInt(service.stop_grace_period, 10) > waits.reduce((sum, seconds) => sum + seconds))
})

test('every npm script that the manual names exists', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  const pattern = /\bnpm (?:run ([\w:-]+)|(test|start)\b)/g
  const named = pages.flatMap(({ text }) => [...text.matchAll(pattern)].map(([, run, own]) => run ?? own ?? ''))
  assert.ok(named.length > 0)
  for (const name of named) assert.ok(Object.hasOwn(scripts, name), `there is no script ${name}`)
})

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf({ text, path }: Page): readonly string[] {
  return readProse(text, path).flatMap(({ text: line }) => {
    const [, title] = /^#+ (.+)$/.exec(line) ?? []
    const anchor = title?.toLowerCase().replace(/[^\w\s-]/g, '')
    return anchor === undefined ? [] : [anchor.replace(/\s/g, '-')]
  })
}

/** Every piece of prose that matches, with its page and line. */
function find(pattern: RegExp): readonly { readonly page: Page; readonly at: string; readonly found: string }[] {
  return pages.flatMap((page) =>
    readProse(page.text, page.path).flatMap(({ line, text }) =>
      [...text.matchAll(pattern)].map(([, found = '']) => ({ page, at: `${page.path}:${line}`, found })),
    ),
  )
}

const exists = (path: string) => globSync(path, { cwd: ROOT }).length > 0

test('every link leads to a page, file or directory of this repository, and to a heading in it', () => {
  const links = find(/\]\(([^)]+)\)/g).filter(({ found }) => !/^https?:/.test(found))
  const broken = links.filter(({ page, found }) => {
    const [file = '', anchor] = found.split('#')
    const path = file === '' ? page.path : posix.join(posix.dirname(page.path), file)
    const target = pages.find((one) => one.path === path)
    if (anchor === undefined) return !exists(path)
    return target === undefined || !anchorsOf(target).includes(anchor)
  })
  assert.equal(
    broken.map(({ at, found }) => `${at}: ${found}`),
    [],
  )
})

test('every path of this repository that the manual names exists', () => {
  const paths = find(/`((?:functions|lib|test|fixtures|\.ci|\.github)\/[\w./*{},-]*)`/g)
  assert.ok(paths.length > 80)
  assert.equal(
    paths.filter(({ found }) => !expand(found).every(exists)).map(({ at, found }) => `${at}: ${found}`),
    [],
  )
})

/** `a/{b,c}.ts` is two paths. */
function expand(path: string): readonly string[] {
  const [, before = '', words, after = ''] = /^(.*)\{(.*)\}(.*)$/.exec(path) ?? []
  return words === undefined ? [path] : words.split(',').map((word) => `${before}${word}${after}`)
}

/** What a room's page says of it, beside its purpose. */
const QUESTIONS = ['imports', 'open first', 'proved by']

test('every room of lib has a page with what it imports, which file to open first and which test proves it', () => {
  const rooms = readdirSync(join(ROOT, 'lib'), { withFileTypes: true }).filter((entry) => entry.isDirectory())
  const overview = readPage('lib/README.md')
  for (const { name } of rooms) {
    assert.ok(overview.text.includes(`](${name}/README.md)`), `lib/README.md does not link to ${name}/README.md`)
    const page = readPage(`lib/${name}/README.md`)
    for (const question of QUESTIONS)
      assert.match(page.text, new RegExp(`^\\| ${question} \\| .+ \\|$`, 'm'), page.path)
  }
})

test('the README has at most 300 lines, and prose has at most 120 characters a line, links not counted', () => {
  assert.ok(readme.text.split('\n').length <= 301)
  const long = pages.flatMap(({ path, text }) =>
    readProse(text, path)
      .filter(({ text: line }) => !line.trimStart().startsWith('|'))
      .filter(({ text: line }) => line.replace(/\]\([^)]*\)/g, ']').length > 120)
      .map(({ line }) => `${path}:${line}`),
  )
  assert.equal(long, [])
})

test('commands are those of an installed host', () => {
  const strays = pages.flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, i) => (/\bnpx\b|\bnode \S*lib\/cli\/main/.test(line) ? [`${path}:${i + 1}`] : [])),
  )
  assert.equal(strays, [])
})

test.run()
