import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import packageJson from '../../package.json' with { type: 'json' }
import { setUp } from '../helpers/system/set-up.ts'

const test = suite('the package in another project')

const root = fileURLToPath(new URL('../..', import.meta.url))
let project = ''

async function run(file: string, words: readonly string[], cwd: string): Promise<string> {
  const child = spawn(file, words, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  const [status] = await once(child, 'close')
  assert.is(status, 0, `${file} ${words.join(' ')}\n${output}`)
  return output.trim()
}

/** Runs plain JavaScript in the project, and resolves to the JSON that it prints. */
async function runScript(name: string, text: string): Promise<unknown> {
  writeFileSync(join(project, name), text)
  return JSON.parse(await run(process.execPath, [name], project))
}

setUp(test, async (_context, undo) => {
  project = mkdtempSync(join(tmpdir(), 'proxy-manager-stranger-'))
  undo(() => rmSync(project, { recursive: true, force: true }))
  await run('npm', ['pack', '--silent', '--pack-destination', project], root)
  const [tarball = ''] = readdirSync(project)
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'stranger', type: 'module', private: true }))
  // As npm would install it, but without the network: its dependencies come from this clone.
  const installed = join(project, 'node_modules/proxy-manager')
  mkdirSync(installed, { recursive: true })
  await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', installed], project)
  for (const name of [...Object.keys(packageJson.dependencies), 'hono', '@types/node']) {
    mkdirSync(dirname(join(project, 'node_modules', name)), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), join(project, 'node_modules', name))
  }
})

test('it contains the compiled code, and neither sources nor tests', () => {
  const files = readdirSync(join(project, 'node_modules/proxy-manager'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(join(project, 'node_modules/proxy-manager/').length))
  const strangers = files.filter(
    (path) =>
      !/^(package\.json|README\.md|LICENSE|dist\/(functions|lib|fixtures)\/.*\.(js|d\.ts)|dist\/lib\/page\/page\.css)$/.test(
        path,
      ),
  )
  assert.equal(strangers, ['dist/package.json'])
  for (const path of ['dist/functions/index.js', 'dist/functions/put-proxy.d.ts', 'dist/fixtures/deps.js'])
    assert.ok(files.includes(path), path)
})

test('the app is mounted under /pm in a plain node:http server', async () => {
  const answer = await runScript(
    'mounted.js',
    `import { createServer } from 'node:http'
import { createServerAdapter } from '@whatwg-node/server'
import { createApp } from 'proxy-manager'
import { fakeDeps } from 'proxy-manager/fixtures/deps'

const deps = await fakeDeps()
const app = createServerAdapter(createApp(() => deps, { base: '/pm' }))
const server = createServer((request, response) =>
  request.url.startsWith('/pm/') ? app(request, response) : response.end('mine'),
).listen(0, '127.0.0.1')
await new Promise((resolve) => server.once('listening', resolve))
const url = \`http://127.0.0.1:\${server.address().port}\`
const body = JSON.stringify({ domain: 'app.example.com', upstream_port: 8002, enable_ssl: false })
const put = await fetch(\`\${url}/pm/proxies/app\`, { method: 'PUT', body, headers: { 'content-type': 'application/json' } })
const list = await fetch(\`\${url}/pm/proxies\`)
const names = (await list.json()).map((route) => route.droplet_name)
const own = await (await fetch(\`\${url}/proxies\`)).text()
console.log(JSON.stringify([put.status, put.headers.get('location'), names, own]))
server.close()
server.closeAllConnections()
`,
  )
  assert.equal(answer, [201, '/pm/proxies/app', ['app'], 'mine'])
})

test('the app is mounted under /pm in Hono', async () => {
  const answer = await runScript(
    'hono.js',
    `import { Hono } from 'hono'
import { createApp } from 'proxy-manager'
import { fakeDeps } from 'proxy-manager/fixtures/deps'

const deps = await fakeDeps()
const app = createApp(() => deps, { base: '/pm' })
const hono = new Hono().get('/mine', (c) => c.text('mine')).all('/pm/*', (c) => app(c.req.raw))
const missing = await hono.request('http://127.0.0.1/pm/proxies/app')
const mine = await hono.request('http://127.0.0.1/mine')
console.log(JSON.stringify([missing.status, (await missing.json()).error.code, await mine.text()]))
`,
  )
  assert.equal(answer, [404, 'PROXY_NOT_FOUND', 'mine'])
})

test('the page is mounted with the app: it and all of its files are there, under /pm', async () => {
  const answer = await runScript(
    'page.js',
    `import { createApp } from 'proxy-manager'
import { fakeDeps } from 'proxy-manager/fixtures/deps'

const deps = await fakeDeps()
const app = createApp(() => deps, { base: '/pm' })
const read = async (url) => {
  const response = await app(new Request(url))
  return [response.status, await response.text()]
}
const page = 'http://127.0.0.1/pm/ui/'
const [status, text] = await read(page)
const missing = []
const seen = new Set()
const follow = async (url) => {
  if (seen.has(url)) return
  seen.add(url)
  const [found, script] = await read(url)
  if (found !== 200) missing.push(url)
  for (const [, from] of script.matchAll(/(?:from |import )['"](\\.[^'"]+)['"]/g)) await follow(new URL(from, url).href)
}
for (const [, from] of text.matchAll(/(?:href|src)="(assets[^"]+)"/g)) await follow(new URL(from, page).href)
console.log(JSON.stringify([status, missing, seen.size > 15]))
`,
  )
  assert.equal(answer, [200, [], true])
})

test('a single handler can be called with the fakes', async () => {
  const answer = await runScript(
    'alone.js',
    `import { fakeDeps } from 'proxy-manager/fixtures/deps'
import putProxy from 'proxy-manager/functions/put-proxy'

const deps = await fakeDeps()
const body = JSON.stringify({ domain: 'app.example.com', upstream_port: 8002, enable_ssl: false })
const headers = { 'content-type': 'application/json' }
const request = new Request('http://127.0.0.1/proxies/app', { method: 'PUT', headers, body })
const response = await putProxy(request, deps)
console.log(JSON.stringify([response.status, deps.nginx.reloads, (await response.json()).status]))
`,
  )
  assert.equal(answer, [201, 1, 'active'])
})

test('its command line runs', async () => {
  const program = join(project, 'node_modules/proxy-manager', packageJson.bin['proxy-manager'])
  assert.is(await run(process.execPath, [program, '--version'], project), packageJson.version)
  assert.match(
    await run(process.execPath, [program, 'systemd-unit'], project),
    /^ExecStart=.*\/dist\/lib\/cli\/main\.js serve$/m,
  )
})

test('its types are valid in a TypeScript project', async () => {
  writeFileSync(
    join(project, 'types.ts'),
    `import { createApp } from 'proxy-manager'
import type { Files } from 'proxy-manager/adapters/files'
import type { Deps } from 'proxy-manager/endpoint'
import type { Engine } from 'proxy-manager/engine'
import { type FakeDeps, fakeDeps } from 'proxy-manager/fixtures/deps'
import putProxy from 'proxy-manager/functions/put-proxy'
import type { Host } from 'proxy-manager/host'
import { startService } from 'proxy-manager/service'

const deps: FakeDeps = await fakeDeps()
const app: (request: Request) => Promise<Response> = createApp(() => deps, { base: '/pm' })
const response: Response = await putProxy(new Request('http://127.0.0.1/proxies/app'), deps)
export const engine: Engine = deps.engine
export const files: Files = deps.host.files
export const handle = async (given: Deps, host: Pick<Host, 'settings'>): Promise<number> =>
  (await app(new Request(\`http://127.0.0.1:\${host.settings.NGINX_HTTP_PORT}\${given.base}\`))).status + response.status
export const service = async () => {
  const started = await startService(process.env)
  return 'fault' in started ? started.fault : createApp(() => started.deps)
}
// @ts-expect-error a base is a string
createApp(() => deps, { base: 1 })
// @ts-expect-error there is no such method: the import is not any
engine.putProxies()
`,
  )
  const options = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--target', 'es2024']
  await run(join(root, 'node_modules/.bin/tsc'), [...options, '--types', 'node', 'types.ts'], project)
})

test.run()
