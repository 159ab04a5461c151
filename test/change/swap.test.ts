import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { assertSettled, contentsOf, refusal, textAt, writeAt } from '../helpers/arrange.ts'
import { put, worldWithRoute } from '../helpers/world.ts'

const AVAILABLE = '/etc/nginx/sites-available'
const ENABLED = '/etc/nginx/sites-enabled'

const test = suite('swap')

test('if sites-enabled turns out not to be writable, the file in sites-available is removed again', async () => {
  const deps = await worldWithRoute()
  const before = contentsOf(deps.disk)
  const { files } = deps.host
  files.symlink = async (_target, path) => {
    throw Object.assign(new Error('EACCES'), { code: 'EACCES', path })
  }
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'CONFIG_WRITE_FAILED')
  assert.equal([error.details.errno, error.details.state], ['EACCES', 'rolled_back'])
  assert.equal(contentsOf(deps.disk), before)
  assert.is(deps.nginx.reloads, 1)
})

test("a symlink in place of a route's file is not followed by the write", async () => {
  const deps = await worldWithRoute()
  writeAt(deps.disk, '/etc/passwd', 'root:x:0:0\n')
  deps.disk.set(`${AVAILABLE}/fpai-app.conf`, { kind: 'link', target: '/etc/passwd' })
  await put(deps, 'app', 'app.example.com', 8002).catch(() => undefined)
  assert.is(textAt(deps.disk, '/etc/passwd'), 'root:x:0:0\n')
})

test('a symlink planted under the name of a temporary is not followed', async () => {
  const deps = await worldWithRoute()
  writeAt(deps.disk, '/etc/passwd', 'root:x:0:0\n')
  for (const folder of [AVAILABLE, ENABLED])
    deps.disk.set(`${folder}/.fpai-app.conf.pm-tmp`, { kind: 'link', target: '/etc/passwd' })
  await put(deps, 'app', 'app.example.com', 8002)
  assert.is(textAt(deps.disk, '/etc/passwd'), 'root:x:0:0\n')
  await assertSettled(deps)
})

test('the new generation is on disk only once every route of it is: a foreign reload in between serves the previous one', async () => {
  const deps = await worldWithRoute()
  const from = deps.effects.journal.length
  await put(deps, 'app', 'app.example.com', 8002)
  const renames = deps.effects.journal.slice(from).filter(({ verb }) => verb === 'rename')
  const at = (path: string) => renames.findIndex(({ subject }) => subject.endsWith(path))
  const shared = at(`${AVAILABLE}/000-proxy-manager.conf`)
  assert.ok(at(`${ENABLED}/fpai-app.conf`) >= 0 && at(`${ENABLED}/fpai-app.conf`) < shared, JSON.stringify(renames))
})

test.run()
