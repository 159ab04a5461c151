import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { describeSettings } from '../../lib/settings/settings.ts'
import { startComparison } from '../helpers/compare-shown.ts'
import { type Example, readExamples } from '../helpers/fenced-blocks.ts'
import { takePackage, takeScript } from '../helpers/system/readme-code.ts'
import { ROOT, setReadmeScene } from '../helpers/system/readme-scene.ts'
import {
  type Context,
  type Take,
  takeCalls,
  takeConfiguration,
  takeDroplet,
  takeGeneration,
  takeLocation,
  takeLogLine,
  takeRoute,
  takeSession,
  takeSourceTree,
  takeToldMesh,
  takeWrongSettings,
} from '../helpers/system/readme-takes.ts'
import { setUp } from '../helpers/system/set-up.ts'

const test = suite<Context>('the examples of the README')

const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')

/** Beginnings of examples, and how each is carried out. */
const TAKES: readonly (readonly [beginning: string, take: Take])[] = [
  ['proxy-manager: PROXY_MANAGER_PORT: expected', takeWrongSettings],
  ["curl http://127.0.0.1:8080/ -H 'host: generation.", takeGeneration],
  ["node -e \"require('http')", takeDroplet],
  ['curl -i http://127.0.0.1:8100/proxies/hello\n', takeRoute],
  ['curl -i -X PUT ', takeCalls],
  ['curl -X PUT ', takeCalls],
  ['curl -X POST ', takeCalls],
  ['curl -X DELETE ', takeCalls],
  ["curl 'http", takeCalls],
  ['curl http://127.0.0.1:8100/proxy-manager/health', takeCalls],
  ['curl http://127.0.0.1:8100/health', takeCalls],
  ['curl -s http://127.0.0.1:8100/metrics', takeCalls],
  ['location / {', takeLocation],
  ['set_real_ip_from ', takeConfiguration],
  ['{"timestamp":', takeLogLine],
  ['{"name": "proxy-manager"', takeToldMesh],
  ['{"droplet_id"', takeToldMesh],
  ['$ proxy-manager ', takeSession],
  ['import { fakeDeps } ', takeScript],
  ["import { createApp } from 'proxy-manager'", takePackage],
  ['functions/ ', takeSourceTree],
]

/** Beginnings of the examples that are not carried out here, and why. */
const NOT_TAKEN: readonly (readonly [beginning: string, reason: string])[] = [
  ['npm run sandbox ', 'it is this very run, and one that takes the ports that a reader may have in use'],
  ['ACME_DIRECTORY_URL=https://acme-staging', 'it needs a domain that leads here from the internet'],
  [
    'apt-get install ',
    'it installs packages and a service on a host with systemd; the units that it prints have a test below',
  ],
  ['cd /opt/proxy-manager && rm -rf', 'it replaces an installation, and restarts its service'],
  ['systemctl stop ', 'it puts a former installation back'],
  ['systemctl disable ', 'it removes an installation'],
  ['services:', 'it needs Docker'],
]

const examples = inOrder(readExamples(readme))

/** That of the generation goes behind the first change, since there is none before. */
function inOrder(found: readonly Example[]): readonly Example[] {
  const isEarly = ({ text }: Example) => text.includes('generation.proxy-manager.invalid')
  const firstChange = found.findIndex(({ text }) => text.startsWith('curl -i -X PUT '))
  const upTo = found.slice(0, firstChange + 1)
  return [...upTo.filter((one) => !isEarly(one)), ...upTo.filter(isEarly), ...found.slice(firstChange + 1)]
}

function matching<T>(table: readonly (readonly [string, T])[], { text }: Example): T[] {
  return table.filter(([beginning]) => text.startsWith(beginning)).map(([, value]) => value)
}

setUp(test, async (context, undo) => {
  context.comparison = startComparison()
  context.scene = await setReadmeScene()
  undo(context.scene.close)
})

test('every example is carried out, or named with the reason why not', () => {
  assert.ok(examples.length > 20)
  const strays = examples
    .filter((example) => matching(TAKES, example).length + matching(NOT_TAKEN, example).length !== 1)
    .map(({ line, text }) => `README.md:${line}: ${text.split('\n')[0]}`)
  assert.equal(strays, [])
  const gone = [...TAKES, ...NOT_TAKEN].filter(
    ([beginning]) => !examples.some(({ text }) => text.startsWith(beginning)),
  )
  assert.equal(gone, [])
})

for (const example of examples) {
  for (const take of matching(TAKES, example)) {
    const { line, text } = example
    test(`line ${line} is as shown: ${text.split('\n')[0]}`, async (context) => await take(example, context))
  }
}

test('serve --help prints every setting', async ({ scene }) => {
  const command = 'npm start -- --help'
  assert.ok(readme.includes(`\`${command}\` prints every setting`))
  const { status, out } = await scene.run(command)
  assert.is(status, 0)
  for (const { name } of describeSettings()) assert.ok(out.includes(name), name)
})

test('each command that prints a unit prints one', async ({ scene }) => {
  const commands = [...readme.matchAll(/^(proxy-manager systemd-unit.*?) +> (\/etc\/systemd\S+)/gm)]
  assert.is(commands.length, 2)
  for (const [, command = '', file = ''] of commands) {
    const { status, out } = await scene.run(command)
    assert.is(status, 0, command)
    assert.match(out, file.endsWith('.service') ? /^ExecStart=.* serve$/m : /^ExecStartPre=.* recover$/m)
    assert.match(out, /^\[Service\]$/m)
  }
})

test.run()
