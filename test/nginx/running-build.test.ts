import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import { countEffects, installLineage, makeLineage, textAt } from '../helpers/arrange.ts'
import { put, putRequest, servedPort } from '../helpers/world.ts'

const test = suite('running build')

const UPGRADED = (version: string) => version.replace('1.22.1', '1.26.3').replace('3.0.2', '3.5.1')
const ROUTE = '/etc/nginx/sites-available/fpai-app.conf'

async function httpsRoute(arrange: (deps: Awaited<ReturnType<typeof fakeDeps>>) => void) {
  const deps = await fakeDeps()
  arrange(deps)
  await installLineage(deps, 'app.example.com', makeLineage('app.example.com'))
  await deps.engine.putProxy(putRequest('app', 'app.example.com', 8002, true))
  return { deps, text: textAt(deps.disk, ROUTE) ?? '' }
}

test('while the former master runs after an upgrade, what is rendered suits its version, and health advises the restart', async () => {
  const { deps, text } = await httpsRoute(({ nginx }) => {
    nginx.runningVersion = nginx.version
    nginx.version = UPGRADED(nginx.version)
  })
  assert.match(text, /listen 443 ssl http2;/)
  assert.not.match(text, /http2 on|MLKEM/)
  const [restart] = (await deps.engine.readHealth()).advice.filter((line) => line.includes('restart NGINX'))
  assert.match(restart ?? '', /^NGINX 1\.22\.1 runs, and its binary was replaced by 1\.26\.3: restart NGINX/)
  deps.nginx.runningVersion = undefined
  assert.not.match((await deps.engine.readHealth()).advice.join(), 'restart')
})

test('without the permission to read its binary, the Server header of our own server block has the version', async () => {
  const deps = await fakeDeps()
  await put(deps, 'first', 'first.example.com', 8001)
  deps.nginx.version = UPGRADED(deps.nginx.version)
  deps.nginx.runningVersion = null
  deps.nginx.server = 'nginx/1.22.1'
  await installLineage(deps, 'app.example.com', makeLineage('app.example.com'))
  await deps.engine.putProxy(putRequest('app', 'app.example.com', 8002, true))
  assert.match(textAt(deps.disk, ROUTE) ?? '', /listen 443 ssl http2;/)
  assert.not.match(textAt(deps.disk, ROUTE) ?? '', /MLKEM/)
})

test('if neither is known, files are written for the binary on disk, and health says so', async () => {
  const { deps, text } = await httpsRoute(({ nginx }) => {
    nginx.version = UPGRADED(nginx.version)
    nginx.runningVersion = null
    nginx.server = 'nginx'
  })
  assert.match(text, /http2 on;/)
  assert.match((await deps.engine.readHealth()).advice.join(), 'which version of NGINX runs is not known')
  assert.is(servedPort(deps, 'app.example.com'), 8002)
})

test('the running binary is asked once for each master', async () => {
  const { deps } = await httpsRoute(({ nginx }) => {
    nginx.runningVersion = nginx.version
  })
  for (let i = 0; i < 3; i++) await deps.engine.readHealth()
  assert.is(countEffects(deps, /^run \/proc\/100\/exe/), 1)
})

test.run()
