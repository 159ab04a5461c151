/** How each kind of the manual's examples is carried out, and what has to come of it. */
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { fakeDeps } from '../../../fixtures/deps.ts'
import { testNginx } from '../../../fixtures/nginx-instance.ts'
import putProxy from '../../../functions/put-proxy.ts'
import { heartbeat, registration } from '../../../lib/mesh/announcements.ts'
import { parseSettings } from '../../../lib/settings/parse-settings.ts'
import packageJson from '../../../package.json' with { type: 'json' }
import { compareAnswer } from '../compare-answer.ts'
import { type Comparison, startComparison } from '../compare-shown.ts'
import type { Example } from '../fenced-blocks.ts'
import { parseShown, splitAnswers } from '../shown-json.ts'
import { type ReadmeScene, ROOT } from './readme-scene.ts'

export interface Context {
  scene: ReadmeScene
  comparison: Comparison
}

export type Take = (example: Example, context: Context) => Promise<void>

/** Fails with the line of what the manual shows, how it differs, and what has come in its place. */
function assertSame(line: number, differences: readonly string[], answered: string): void {
  assert.ok(differences.length === 0, `README.md:${line} is stale:\n  ${differences.join('\n  ')}\n\n${answered}`)
}

async function runWell({ scene }: Context, line: number, command: string): Promise<string> {
  const { status, out, err } = await scene.run(command)
  assert.is(status, 0, `README.md:${line}: ${command}\n${err}${out}`)
  return out
}

/** The commands of a block, each as it stands there, with the lines that continue it. */
const commandsOf = (text: string) => text.trimEnd().split(/(?<!\\)\n/)

/** Calls with curl, the answers to which are shown in the block behind. */
export const takeCalls: Take = async ({ line, text, shown }, context) => {
  const { scene, comparison } = context
  assert.ok(shown !== undefined, `README.md:${line} shows no answer`)
  if (text.includes('/dependencies')) await untilLookedAt(scene)
  const commands = commandsOf(text)
  const answers = commands.length === 1 ? [shown.text] : splitAnswers(shown.text)
  assert.is(answers.length, commands.length, `README.md:${shown.line} shows ${answers.length} of ${commands.length}`)
  for (const [i, command] of commands.entries()) {
    const answered = await runWell(context, line, scene.place(command))
    assertSame(shown.line, compareAnswer(comparison, scene.place(answers[i] ?? ''), answered), answered)
  }
}

/** Dependencies are unknown until they have been looked at, for the first time on the first call; the manual says so, and shows a later one. */
async function untilLookedAt({ manager }: ReadmeScene): Promise<void> {
  for (let tries = 0; tries < 250; tries++) {
    if (!(await (await fetch(`${manager.url}/dependencies`)).text()).includes('"unknown"')) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error('the dependencies are not looked at')
}

/** The generation that NGINX answers is the one that health tells. */
export const takeGeneration: Take = async ({ line, text }, context) => {
  const Health = v.object({ nginx: v.object({ generation: v.number() }) })
  const answer = await fetch(`${context.scene.manager.url}/proxy-manager/health`)
  const { nginx } = v.parse(Health, await answer.json())
  const answered = await runWell(context, line, context.scene.place(text))
  assert.is(answered.trim(), String(nginx.generation), `README.md:${line}`)
}

/** One route is answered as it stands in the list, with its revision as the ETag. */
export const takeRoute: Take = async ({ line, text }, context) => {
  const { manager, place } = context.scene
  const [route] = v.parse(
    v.array(v.looseObject({ revision: v.string() })),
    await (await fetch(`${manager.url}/proxies?status=active`)).json(),
  )
  const shown = `HTTP/1.1 200\netag: "${route?.revision}"\n…\n\n${JSON.stringify(route)}`
  const answered = await runWell(context, line, place(text))
  assertSame(line, compareAnswer(startComparison(), shown, answered), answered)
}

/** The droplet of the examples, until the end. */
export const takeDroplet: Take = async ({ text }, { scene }) => {
  await scene.startListening(scene.place(text), Number(scene.place('9000')))
}

/** Each `$` line is run by a shell, and what it prints, on either stream, is what stands below it. */
export const takeSession: Take = async ({ line, text }, { scene, comparison }) => {
  const routes = v.parse(
    v.array(v.object({ droplet_name: v.string() })),
    await (await fetch(`${scene.manager.url}/proxies`)).json(),
  )
  for (const { droplet_name } of routes)
    await fetch(`${scene.manager.url}/proxies/${droplet_name}`, { method: 'DELETE' })
  const turns = scene.place(text).split(/^\$ /m).slice(1)
  assert.ok(turns.length > 0)
  for (const turn of turns) {
    const [command = ''] = turn.split('\n')
    const { out } = await scene.run(`${command} 2>&1`)
    assertSame(line, comparison.text(turn.slice(command.length + 1), out), `$ ${command}\n${out}`)
  }
}

/** A wrong setting: the start ends with this one line, and with 78. */
export const takeWrongSettings: Take = async ({ line, text }, { scene, comparison }) => {
  const settings = [...text.matchAll(/(\w+): expected [^"]+, got "([^"]*)"/g)].map(
    ([, name, value]) => `${name}='${value}'`,
  )
  assert.ok(settings.length > 0)
  const { status, out, err } = await scene.run(`${settings.join(' ')} proxy-manager serve`)
  assertSame(line, comparison.text(text, err), err)
  assert.equal([status, out], [78, ''], `README.md:${line}`)
}

/** The line that the manual's first PUT has left in the log: it names the same request. */
export const takeLogLine: Take = async ({ line, text }, { scene, comparison }) => {
  const shown = parseShown(text)
  const { correlation_id } = v.parse(v.looseObject({ correlation_id: v.string() }), shown)
  const id = comparison.answeredFor(correlation_id)
  assert.ok(id !== undefined, `README.md:${line}: no answer has the correlation id ${correlation_id}`)
  const logged = scene.manager.log.find((one) => one.includes(id)) ?? ''
  assertSame(line, comparison.json(shown, JSON.parse(logged)), logged)
}

/** The location as it is rendered for a route called hello, on a host with the usual ports. */
export const takeLocation: Take = async ({ line, text }, { comparison }) => {
  const deps = await fakeDeps()
  const headers = { 'content-type': 'application/json' }
  const body = JSON.stringify({
    domain: 'hello.example.com',
    upstream_port: 9000,
    enable_ssl: false,
    require_healthy: false,
  })
  await putProxy(new Request('http://127.0.0.1/proxies/hello', { method: 'PUT', headers, body }), deps)
  const rendered = deps.host.files.read('/etc/nginx/sites-available/fpai-hello.conf')?.text ?? ''
  const location = /^( *)location \/ \{\n[\s\S]*?^\1\}\n/m.exec(rendered)
  assert.ok(location !== null, rendered)
  const unindented = location[0].replace(new RegExp(`^${location[1]}`, 'gm'), '')
  assertSame(line, comparison.text(text, unindented), unindented)
}

/** What the Registry and the Orchestrator are told by a droplet with the settings of the manual. */
export const takeToldMesh: Take = async ({ line, text }, { comparison }) => {
  const [service, version] = ['http://edge.internal:8100', packageJson.version]
  const settings = parseSettings({ DROPLET_ID: 'edge-7', PROXY_MANAGER_PUBLIC_URL: service })
  if ('faults' in settings) throw new Error(settings.faults.join())
  const told = text.startsWith('{"name"')
    ? registration(settings, version)
    : heartbeat(settings, { status: 'healthy', version, nowMs: Date.now(), uptimeSeconds: 1 })
  assertSame(line, comparison.json(parseShown(text), told), JSON.stringify(told))
}

/** Lines for the host's own configuration: NGINX takes them. */
export const takeConfiguration: Take = async ({ line, text }, { scene: { nginx } }) => {
  const file = join(nginx.root, 'conf.d/from-readme.conf')
  writeFileSync(file, text)
  const { ok, output } = testNginx(nginx)
  rmSync(file)
  assert.ok(ok, `README.md:${line}: ${output}`)
}

/** The sources: what is named is there, and each folder of lib/ is named. */
export const takeSourceTree: Take = async ({ line, text }) => {
  let folder = ''
  const named = [...text.matchAll(/^( *)(\S+)/gm)].map(([, indent, name = '']) => {
    if (indent === '') folder = name
    return indent === '' ? name : folder + name
  })
  const missing = named.filter((path) => !existsSync(join(ROOT, path)))
  const folders = readdirSync(join(ROOT, 'lib'), { withFileTypes: true }).filter((entry) => entry.isDirectory())
  const unnamed = folders.map(({ name }) => `lib/${name}/`).filter((path) => !named.includes(path))
  assert.equal([missing, unnamed], [[], []], `README.md:${line}`)
}
