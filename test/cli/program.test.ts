import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { EXIT } from '../../lib/cli/command.ts'
import { DEFAULT_OPTIONS } from '../../lib/route/options.ts'
import { describeSettings } from '../../lib/settings/settings.ts'
import packageJson from '../../package.json' with { type: 'json' }
import { CALLING, runCli, withAnswer } from '../helpers/cli.ts'

const test = suite('proxy-manager')

const NAMES = [
  'serve',
  'recover',
  'systemd-unit',
  'list',
  'get',
  'put',
  'delete',
  'ssl',
  'sync',
  'reconcile',
  'plan',
  'health',
]
const escaped = (text: string) => text.replace(/[[\]()]/g, '\\$&')

test('--version prints the version of the package', async () => {
  assert.equal(await runCli(['--version']), { status: 0, out: `${packageJson.version}\n`, err: '' })
})

test('--help names every command and exit status; each command has its own help', async () => {
  const { status, out } = await runCli(['--help'])
  assert.is(status, 0)
  for (const name of NAMES) {
    assert.match(out, new RegExp(`^  ${name} `, 'm'))
    const own = await runCli([name, '--help'])
    assert.is(own.status, 0)
    assert.match(own.out, new RegExp(`^Usage: proxy-manager ${name} .*\\n\\n[A-Z][^]+\\n\\nOptions:\\n`))
    assert.is((await runCli(['help', name])).out, own.out)
    assert.is(/^ {2}--json/m.test(own.out), name !== 'serve', name)
  }
  for (const exitStatus of Object.values(EXIT)) assert.match(out, new RegExp(`^  ${exitStatus} +\\S`, 'm'))
})

test('the help of a command that calls the API has examples that the command accepts', async () => {
  for (const name of CALLING.map(([command = '']) => command)) {
    const { out } = await runCli([name, '--help'])
    const examples = [...out.matchAll(/^ {2}proxy-manager (.+?)(?: [|>].*)?$/gm)].map(([, example = '']) => example)
    assert.ok(examples.length > 0, name)
    const files = { 'routes.json': '{}', '-': '{}' }
    for (const example of examples) {
      const argv = [...example.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '')
      assert.is(argv[0], name, example)
      assert.is((await runCli(argv, { PROXY_MANAGER_URL: 'http://127.0.0.1:1' }, files)).status, 3, example)
    }
  }
})

test('put and plan have a flag for every option of a route, with its default in their help', async () => {
  for (const name of ['put', 'plan']) {
    const { out } = await runCli([name, '--help'])
    const unwrapped = out.replace(/\n {10,}/g, ' ')
    for (const [option, value] of Object.entries(DEFAULT_OPTIONS)) {
      const flag = `--${option.replaceAll('_', '-')}`
      const isNone = value === null || (typeof value === 'object' && Object.keys(value).length === 0)
      const shown = isNone ? 'none' : escaped(String(value))
      assert.match(unwrapped, new RegExp(`^  ${flag}( <\\w+>)? +[A-Z].* \\(default: ${shown}\\)$`, 'm'))
      const canBeUnset = typeof value === 'boolean' || typeof value === 'object'
      assert.is(new RegExp(`^  --no-${flag.slice(2)} `, 'm').test(out), canBeUnset, option)
    }
  }
})

test('the help of serve describes every setting, with its default', async () => {
  const { out } = await runCli(['serve', '--help'])
  for (const { name, defaultText, help } of describeSettings())
    assert.ok(out.includes(`  ${name}${defaultText === '' ? '' : ` (${defaultText})`}\n      ${help}\n`), name)
})

test('without a command the help is printed to standard error, and the exit status is 2', async () => {
  const { out } = await runCli(['--help'])
  assert.equal(await runCli([]), { status: 2, out: '', err: out })
})

test('help is as wide as the terminal, and has no escape sequences', async () => {
  const { out } = await runCli(['systemd-unit', '--help'])
  assert.ok(out.split('\n').every((line) => line.length <= 80 || line.startsWith('  proxy-manager ')))
  assert.not.match(out, '\u001b')
})

for (const [title, argv, message] of [
  ['an unknown command', ['lst'], /^proxy-manager: unknown command 'lst'\n\(Did you mean list\?\)\n/],
  ['an unknown option', ['list', '--jso'], /^proxy-manager: unknown option '--jso'\n\(Did you mean --json\?\)\n/],
  ['an option without its value', ['list', '--domain'], /option '--domain <domain>' argument missing/],
  ['a value for an option that has none', ['list', '--json=1'], /unknown option '--json=1'/],
  ['--json for a command without output', ['serve', '--json'], /unknown option '--json'/],
  ['an argument too many', ['list', 'app'], /too many arguments for 'list'\. Expected 0 arguments but got 1: app\./],
  ['a name too many', ['get', 'a', 'b'], /too many arguments for 'get'\. Expected 1 argument but got 2: a, b\./],
  ['an empty name', ['get', ''], /argument value '' is invalid for argument 'name'\. Expected a name\./],
  ['a name that leads elsewhere', ['delete', '..'], /'\.\.' is invalid for argument 'name'/],
  ['options that are a JSON list', ['put', 'app', '--options', '[]'], /'\[\]' is invalid\. Expected a JSON object\./],
  ['a missing name', ['get'], /missing required argument 'name'/],
  ['a control character', ['\u001b[31m'], /^proxy-manager: unknown command '\?\[31m'\n/],
  ['a mistyped option of a route', ['put', 'app', '--maintainance'], /\(Did you mean --maintenance\?\)/],
  ['a mistyped negation', ['put', 'app', '--no-maintainance'], /\(Did you mean --no-maintenance\?\)/],
  [
    'options that are not JSON',
    ['put', 'app', '--domain', 'a.example.com', '--upstream', 'http://localhost:1', '--options', '{'],
    /option '--options <json>' argument '\{' is invalid\. Expected a JSON object\./,
  ],
] as const) {
  test(`${title}: exit status 2, and the error names the command's help`, async () => {
    const { status, out, err } = await runCli(argv, { PROXY_MANAGER_URL: 'http://127.0.0.1:1' })
    assert.is(status, 2)
    assert.is(out, '')
    assert.match(err, message)
    assert.match(err, /\nSee proxy-manager .*--help\n$/)
  })
}

test('control characters are shown as question marks', async () => {
  const body = { error: { code: 'X', message: 'a\u001b[31mb\u009b', details: {} } }
  await withAnswer({ status: 400, body }, async ({ cli }) => {
    assert.is((await cli('list')).err, 'proxy-manager: X: a?[31mb?\n')
  })
})

test('JSON is plain: control characters of every kind are escaped', async () => {
  await withAnswer(
    { status: 400, body: { error: { code: 'X', message: 'a\u001b[31mb\u009b\u007f', details: {} } } },
    async ({ cli }) => {
      const { out } = await cli('list', '--json')
      assert.match(out, /^[\x0a\x20-\x7e]+$/)
      assert.is(JSON.parse(out).error.message, 'a\u001b[31mb\u009b\u007f')
    },
  )
})

test.run()
