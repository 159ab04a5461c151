/** How each kind of example in the manual is run, and what it must print. */
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
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
import type { ReadmeScene } from './readme-scene.ts'

export interface Context {
  scene: ReadmeScene
  comparison: Comparison
}

export type Take = (example: Example, context: Context) => Promise<void>

/** Fails with the place in the manual, the differences, and the actual output. */
function assertSame(at: string, differences: readonly string[], answered: string): void {
  assert.ok(differences.length === 0, `${at} is stale:\n  ${differences.join('\n  ')}\n\n${answered}`)
}

async function runWell({ scene }: Context, at: string, command: string): Promise<string> {
  const { status, out, err } = await scene.run(command)
  assert.is(status, 0, `${at}: ${command}\n${err}${out}`)
  return out
}

/** Creates the route that the manual calls hello, and resolves to the correlation id of the answer. */
export async function putHello({ scene }: Context): Promise<string> {
  const headers = { 'content-type': 'application/json' }
  const body = JSON.stringify({ domain: 'hello.example.com', upstream_port: scene.app.port, enable_ssl: false })
  const answer = await fetch(`${scene.manager.url}/proxies/hello`, { method: 'PUT', headers, body })
  return answer.headers.get('x-correlation-id') ?? ''
}

/** The commands of a block, each with the lines that continue it. */
const commandsOf = (text: string) => text.trimEnd().split(/(?<!\\)\n/)

/** Calls with curl; the next block shows the answers. */
export const takeCalls: Take = async ({ at, text, shown }, context) => {
  const { scene, comparison } = context
  assert.ok(shown !== undefined, `${at} shows no answer`)
  if (text.includes('/dependencies')) await untilLookedAt(scene)
  const commands = commandsOf(text)
  const answers = commands.length === 1 ? [shown.text] : splitAnswers(shown.text)
  assert.is(answers.length, commands.length, `${shown.at} shows ${answers.length} of ${commands.length}`)
  for (const [i, command] of commands.entries()) {
    const answered = await runWell(context, at, scene.place(command))
    assertSame(shown.at, compareAnswer(comparison, scene.place(answers[i] ?? ''), answered), answered)
  }
}

/** Dependencies are `unknown` until the first call has started a check; the manual shows a later answer. */
async function untilLookedAt({ manager }: ReadmeScene): Promise<void> {
  for (let tries = 0; tries < 250; tries++) {
    if (!(await (await fetch(`${manager.url}/dependencies`)).text()).includes('"unknown"')) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error('the dependencies are not checked')
}

/** The generation that NGINX answers is the one that health reports; there is none before the first change. */
export const takeGeneration: Take = async ({ at, text }, context) => {
  await putHello(context)
  const Health = v.object({ nginx: v.object({ generation: v.number() }) })
  const answer = await fetch(`${context.scene.manager.url}/proxy-manager/health`)
  const { nginx } = v.parse(Health, await answer.json())
  const answered = await runWell(context, at, context.scene.place(text))
  assert.is(answered.trim(), String(nginx.generation), at)
}

/** One route is answered as it is in the list, with more about its health, and with its revision as the ETag. */
export const takeRoute: Take = async ({ at, text }, context) => {
  const { manager, place } = context.scene
  const [route] = v.parse(
    v.array(v.looseObject({ revision: v.string() })),
    await (await fetch(`${manager.url}/proxies?status=active`)).json(),
  )
  const body = JSON.stringify(route).replace(/"recent":"[01]+"/, '$&, …')
  const shown = `HTTP/1.1 200\netag: "${route?.revision}"\n…\n\n${body}`
  const answered = await runWell(context, at, place(text))
  assertSame(at, compareAnswer(startComparison(), shown, answered), answered)
}

/** The droplet of the examples; it runs until the scene ends. */
export const takeDroplet: Take = async ({ text }, { scene }) => {
  await scene.startListening(scene.place(text), Number(scene.place('9000')))
}

/** Each `$` line is run by a shell; what it prints, on either stream, is the text below it. */
export const takeSession: Take = async ({ at, text }, { scene, comparison }) => {
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
    assertSame(at, comparison.text(turn.slice(command.length + 1), out), `$ ${command}\n${out}`)
  }
}

/** Invalid settings: the process prints this one line and exits with 78. */
export const takeWrongSettings: Take = async ({ at, text }, { scene, comparison }) => {
  const settings = [...text.matchAll(/([A-Z_]+): [^;]*?got "([^"]*)"/g)].map(([, name, value]) => `${name}='${value}'`)
  assert.ok(settings.length > 0)
  const { status, out, err } = await scene.run(`${settings.join(' ')} proxy-manager serve`)
  assertSame(at, comparison.text(text, err), err)
  assert.equal([status, out], [78, ''], at)
}

/** The line that the first PUT of a route leaves in the log. */
export const takeLogLine: Take = async ({ at, text }, context) => {
  const { scene, comparison } = context
  const shown = parseShown(text)
  const id = await putHello(context)
  const logged = scene.manager.log.find((one) => one.includes(id)) ?? ''
  assertSame(at, comparison.json(shown, JSON.parse(logged)), logged)
}

/** The location as it is rendered for a route called hello, on a host with the usual ports. */
export const takeLocation: Take = async ({ at, text }, { comparison }) => {
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
  assertSame(at, comparison.text(text, unindented), unindented)
}

/** What a droplet with the settings of the manual sends to the Registry and the Orchestrator. */
export const takeAnnouncement: Take = async ({ at, text }, { comparison }) => {
  const [service, version] = ['http://edge.internal:8100', packageJson.version]
  const settings = parseSettings({ DROPLET_ID: 'edge-7', PROXY_MANAGER_PUBLIC_URL: service })
  if ('faults' in settings) throw new Error(settings.faults.join())
  const sent = text.startsWith('{"name"')
    ? registration(settings, version)
    : heartbeat(settings, { status: 'healthy', version, nowMs: Date.now(), uptimeSeconds: 1 })
  assertSame(at, comparison.json(parseShown(text), sent), JSON.stringify(sent))
}

/** A rotated token takes the place of the old one in the settings, and is one that they accept. The restart that follows needs systemd. */
export const takeRotation: Take = async ({ at, text }, context) => {
  const file = join(context.scene.nginx.root, 'proxy-manager.env')
  writeFileSync(file, 'SERVICE_NAME=edge\nPROXY_MANAGER_API_TOKEN=the-old-token-of-the-host\n', { mode: 0o600 })
  const [command = '', restart] = text.split('\n')
  assert.is(restart, 'systemctl restart proxy-manager')
  await runWell(context, at, command.replace('/etc/proxy-manager.env', file))
  const [, token] = /^SERVICE_NAME=edge\nPROXY_MANAGER_API_TOKEN=(.+)\n$/.exec(readFileSync(file, 'utf8')) ?? []
  assert.not('faults' in parseSettings({ PROXY_MANAGER_API_TOKEN: token }), at)
  assert.is(token?.length, 48)
  assert.is(statSync(file).mode & 0o777, 0o600)
}

/** Lines for the host's own configuration: NGINX accepts them. */
export const takeConfiguration: Take = async ({ at, text }, { scene: { nginx } }) => {
  const file = join(nginx.root, 'conf.d/from-readme.conf')
  writeFileSync(file, text)
  const { ok, output } = testNginx(nginx)
  rmSync(file)
  assert.ok(ok, `${at}: ${output}`)
}
