import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { parse } from 'yaml'
import { endpoints } from '../functions/index.ts'
import { ERRORS, ProxyManagerError } from '../lib/errors.ts'
import { ErrorDetails } from '../lib/http/openapi/error-schema.ts'
import { failureFields } from '../lib/http/request-log.ts'
import { DEFAULT_OPTIONS } from '../lib/route/options.ts'
import { describeSettings } from '../lib/settings/settings.ts'

const test = suite('README')

const Compose = v.object({
  services: v.object({
    'proxy-manager': v.object({
      environment: v.record(v.string(), v.string()),
      volumes: v.array(v.string()),
      stop_grace_period: v.pipe(v.string(), v.regex(/^\d+s$/)),
    }),
  }),
})

const root = new URL('..', import.meta.url)
const readme = readFileSync(new URL('README.md', root), 'utf8')

/** The cells of the table row whose first cell is this word, without backticks. */
function row(word: string): readonly string[] {
  const lines = readme.split('\n').filter((line) => line.startsWith(`| \`${word}\` |`))
  assert.is(lines.length, 1, `${word} stands in ${lines.length} table rows`)
  return (lines[0] ?? '').split('|').map((cell) => cell.trim().replaceAll('`', ''))
}

test('every setting stands in its table, with its default', () => {
  for (const { name, fallback } of describeSettings()) assert.is(row(name)[2], fallback === '' ? '–' : fallback, name)
})

test('every option of a route stands in its table, with its default', () => {
  for (const [name, unset] of Object.entries(DEFAULT_OPTIONS))
    assert.is(row(name)[2], typeof unset === 'string' ? unset : JSON.stringify(unset), name)
})

test('every error code stands in its table, with its status, when it happens and what to do', () => {
  for (const [code, { status }] of Object.entries(ERRORS)) {
    const [, , shown, when = '', remedy = ''] = row(code)
    assert.is(shown, String(status), code)
    assert.ok(when !== '' && remedy !== '', `${code} has an empty cell`)
  }
})

/** What stands between this heading and the next one. */
function section(heading: string): string {
  const [, text = ''] = readme.split(`\n${heading}\n`)
  return text.split(/\n#+ /)[0] ?? ''
}

test('every detail that an error may have stands in the section about errors', () => {
  const told = section('## Errors')
  assert.equal(
    Object.keys(ErrorDetails.entries).filter((name) => !told.includes(`\`${name}\``)),
    [],
  )
})

test('every field that the log has of a failure stands in the section about the log', () => {
  const details = Object.fromEntries(Object.keys(ErrorDetails.entries).map((name) => [name, '']))
  const names = Object.keys(failureFields(new ProxyManagerError('INTERNAL', { details, cause: new Error() })))
  assert.ok(names.includes('cause') && names.includes('state'))
  const told = section('### Logs')
  assert.equal(
    names.filter((name) => !told.includes(`\`${name}\``)),
    [],
  )
})

test('every endpoint stands in it, under each of its methods and paths', () => {
  for (const { operation } of endpoints) {
    const { aliases = [] } = operation
    for (const { method, path } of [operation, ...aliases]) {
      const call = `${method} ${path.replace(/:(\w+)/g, '{$1}')}`
      assert.ok(readme.includes(`\`${call}\``), `${call} is missing`)
    }
  }
})

test('the compose example sets what is a setting, keeps what the image has as volumes, and waits for both programs to end', () => {
  const dockerfile = readFileSync(new URL('Dockerfile', root), 'utf8')
  const [, text = ''] = /```yaml\n(services:[^`]+)```/.exec(readme) ?? []
  const service = v.parse(Compose, parse(text)).services['proxy-manager']
  const names = describeSettings().flatMap(({ name }) => (name.endsWith('_TOKEN') ? [name, `${name}_FILE`] : [name]))
  for (const name of Object.keys(service.environment)) assert.ok(names.includes(name), name)
  // The default is nobody's address.
  assert.ok(Object.hasOwn(service.environment, 'DEFAULT_SSL_EMAIL'))
  const volumes = v.parse(v.array(v.string()), JSON.parse(/^VOLUME (.+)$/m.exec(dockerfile)?.[1] ?? ''))
  assert.equal(service.volumes.map((volume) => volume.split(':')[1]).sort(), [...volumes].sort())
  const waits = [...dockerfile.matchAll(/^stopwaitsecs=(\d+)$/gm)].map(([, seconds]) => Number(seconds))
  assert.is(waits.length, 2)
  assert.ok(Number.parseInt(service.stop_grace_period, 10) > waits.reduce((sum, seconds) => sum + seconds))
})

test('every npm script that it names is there', () => {
  const { scripts } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'))
  const named = [...readme.matchAll(/\bnpm (?:run ([\w:-]+)|(test|start)\b)/g)].map(([, run, own]) => run ?? own ?? '')
  assert.ok(named.length > 0)
  for (const name of named) assert.ok(Object.hasOwn(scripts, name), `there is no script ${name}`)
})

test('every link within it leads somewhere', () => {
  const headings = [...readme.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\w\s-]/g, '')
      .replace(/\s/g, '-'),
  )
  for (const [, anchor = ''] of readme.matchAll(/\]\(#([^)]+)\)/g))
    assert.ok(headings.includes(anchor), `there is no heading for #${anchor}`)
})

test.run()
