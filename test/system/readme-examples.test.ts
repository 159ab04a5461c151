import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { describeSettings } from '../../lib/settings/settings.ts'
import { startComparison } from '../helpers/compare-shown.ts'
import { type Example, readExamples } from '../helpers/fenced-blocks.ts'
import { type Page, readPage, readPages } from '../helpers/manual-pages.ts'
import { takePackage, takeScript } from '../helpers/system/readme-code.ts'
import { setReadmeScene } from '../helpers/system/readme-scene.ts'
import {
  type Context,
  type Take,
  takeAnnouncement,
  takeCalls,
  takeConfiguration,
  takeDroplet,
  takeGeneration,
  takeLocation,
  takeLogLine,
  takeRotation,
  takeRoute,
  takeSession,
  takeWrongSettings,
} from '../helpers/system/readme-takes.ts'
import { setUp } from '../helpers/system/set-up.ts'

/** Beginnings of examples, and how each is run. */
const TAKES: readonly (readonly [beginning: string, take: Take])[] = [
  ['proxy-manager: PROXY_MANAGER_PORT: ', takeWrongSettings],
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
  ['curl http://127.0.0.1:8100/certificates', takeCalls],
  ['curl http://127.0.0.1:8100/host/sites', takeCalls],
  ['curl http://127.0.0.1:8100/export', takeCalls],
  ['curl -s http://127.0.0.1:8100/export', takeCalls],
  ['curl -s http://127.0.0.1:8100/metrics', takeCalls],
  ['location / {', takeLocation],
  ['set_real_ip_from ', takeConfiguration],
  ['{"timestamp":', takeLogLine],
  ['{"name": "proxy-manager"', takeAnnouncement],
  ['{"id": "edge-7"', takeAnnouncement],
  ['$ proxy-manager ', takeSession],
  ['sed -i "s/^PROXY_MANAGER_API_TOKEN', takeRotation],
  ['import { fakeDeps } ', takeScript],
  ["import { createApp } from 'proxy-manager'", takePackage],
]

/** Beginnings of the examples that are not run here, and why. */
const NOT_TAKEN: readonly (readonly [beginning: string, reason: string])[] = [
  ['npm run sandbox ', 'it is this very run, and one that listens on ports that a reader may have in use'],
  ['npm run check ', 'it is this very run'],
  ['ACME_DIRECTORY_URL=https://acme-staging', 'it needs a public domain that leads to this host'],
  ['apt-get update ', 'npm run test:install runs it, on a machine with systemd'],
  ['cd /opt/proxy-manager && rm -rf', 'npm run test:install runs it'],
  ['systemctl stop ', 'npm run test:install runs it'],
  ['systemctl disable ', 'npm run test:install runs it'],
  ["node -p 'JSON.stringify({ certificate", 'it needs a certificate: test/system/uploads.test.ts'],
  ['services:', 'it needs Docker'],
  ['sh fixtures/setup.sh --start', 'it needs a second machine without npm, and a connection to it'],
]

function matching<T>(table: readonly (readonly [string, T])[], { text }: Example): T[] {
  return table.filter(([beginning]) => text.startsWith(beginning)).map(([, value]) => value)
}

const pages = readPages()
const examplesOf = ({ text, path }: Page) => readExamples(text, path)

const all = suite('the examples of the manual')

all('every example is run, or listed with the reason why not', () => {
  const examples = pages.flatMap(examplesOf)
  assert.ok(examples.length > 20)
  const strays = examples
    .filter((example) => matching(TAKES, example).length + matching(NOT_TAKEN, example).length !== 1)
    .map(({ at, text }) => `${at}: ${text.split('\n')[0]}`)
  assert.equal(strays, [])
  const gone = [...TAKES, ...NOT_TAKEN].filter(
    ([beginning]) => !examples.some(({ text }) => text.startsWith(beginning)),
  )
  assert.equal(gone, [])
})

all.run()

// Each page begins on a host without routes, as a reader does.
for (const page of pages) {
  const taken = examplesOf(page).flatMap((example) => matching(TAKES, example).map((take) => ({ example, take })))
  if (taken.length === 0) continue
  const test = suite<Context>(`the examples of ${page.path}`)
  setUp(test, async (context, undo) => {
    context.comparison = startComparison()
    context.scene = await setReadmeScene()
    undo(context.scene.close)
  })
  for (const { example, take } of taken)
    test(`${example.at} is as shown: ${example.text.split('\n')[0]}`, async (context) => await take(example, context))
  test.run()
}

const commands = suite<Context>('the commands of the manual')

setUp(commands, async (context, undo) => {
  context.scene = await setReadmeScene()
  undo(context.scene.close)
})

commands('serve --help prints every setting', async ({ scene }) => {
  const command = 'proxy-manager serve --help'
  assert.ok(readPage('lib/settings/README.md').text.includes(`\`${command}\` prints every setting`))
  const { status, out } = await scene.run(command)
  assert.is(status, 0)
  for (const { name } of describeSettings()) assert.ok(out.includes(name), name)
})

commands('each command that prints a unit prints one', async ({ scene }) => {
  const found = pages.flatMap(({ text }) => [
    ...text.matchAll(/^(proxy-manager systemd-unit.*?) +> (\/etc\/systemd\S+)/gm),
  ])
  assert.is(found.length, 2)
  for (const [, command = '', file = ''] of found) {
    const { status, out } = await scene.run(command)
    assert.is(status, 0, command)
    assert.match(out, file.endsWith('.service') ? /^ExecStart=.* serve$/m : /^ExecStartPre=.* recover$/m)
    assert.match(out, /^\[Service\]$/m)
  }
})

commands(
  'every command of proxy-manager that a sentence or table names has the options that it is given',
  async ({ scene }) => {
    const named = pages.flatMap(({ path, text }) =>
      [...text.matchAll(/`proxy-manager ([a-z][a-z-]*)([^`\n]*)`/g)].map(([, command = '', rest = '']) => ({
        path,
        command,
        options: rest.match(/(?<=\s)--[a-z-]+/g) ?? [],
      })),
    )
    assert.ok(named.length > 10)
    const helps = new Map<string, string>()
    for (const command of new Set(named.map(({ command }) => command))) {
      const { status, out } = await scene.run(`proxy-manager ${command} --help`)
      helps.set(command, status === 0 ? out : '')
    }
    const wrong = named.filter(({ command, options }) => {
      const help = helps.get(command) ?? ''
      return help === '' || options.some((option) => !['--help', ...(help.match(/--[a-z-]+/g) ?? [])].includes(option))
    })
    assert.equal(wrong, [])
  },
)

/** Commands of the table of symptoms that are not run here, by their beginnings, and why. */
const NOT_RUN: readonly (readonly [beginning: string, reason: string])[] = [
  ['systemctl ', 'there is no systemd here'],
  ['journalctl ', 'there is no journal here'],
  ['rm /etc/nginx/sites-enabled/', 'it starts NGINX with systemd'],
]

commands('every command of the table of symptoms runs, or is listed with the reason why not', async ({ scene }) => {
  const { text } = readPage('lib/cli/README.md')
  const [table = ''] = /^## From symptom to command$[\s\S]*?(?=^###)/m.exec(text) ?? []
  const named = [
    ...table.matchAll(/`((?:proxy-manager|nginx|openssl|certbot|ss|df|tail|rm|systemctl|journalctl) [^`]+)`/g),
  ]
  const found = [...new Set(named.map(([, command = '']) => command))]
  const isListed = (command: string) => NOT_RUN.some(([beginning]) => command.startsWith(beginning))
  assert.ok(found.length - found.filter(isListed).length > 20)
  const { nginx, environment } = scene
  const certbot = { config: 'CERTBOT_CONFIG_DIR', work: 'CERTBOT_WORK_DIR', logs: 'CERTBOT_LOGS_DIR' }
  const folders = Object.entries(certbot).map(([name, setting]) => `--${name}-dir ${environment[setting]}`)
  const secure =
    'proxy-manager put app --domain app.example.com --upstream http://localhost:8002 && proxy-manager ssl app'
  assert.is((await scene.run(scene.place(secure))).status, 0)
  for (const command of found.filter((one) => !isListed(one))) {
    const here = command
      .replace('NAME', 'app')
      .replace('DOMAIN', 'app.example.com')
      .replace('URL', scene.place('http://localhost:8002'))
      .replace(/^nginx/, `nginx -c ${nginx.conf}`)
      .replace(/^certbot.*/, `$& ${folders.join(' ')}`)
      .replace('/var/log/nginx/error.log', nginx.errorLog)
      .replace('/var/lib/proxy-manager /etc/nginx', nginx.root)
      .replace(':443', `:${nginx.httpsPort}`)
    const { status, out, err } = await scene.run(here)
    assert.is(status, 0, `${here}\n${err}${out}`)
  }
})

commands.run()
