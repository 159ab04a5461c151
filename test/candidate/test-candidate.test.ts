import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { MAIN_CONFIGURATION } from '../../fixtures/deps.ts'
import { ACCEPTED, assertSettled, conflicting, contentsOf, refusal, textAt } from '../helpers/arrange.ts'
import { put, servedPort, worldWithRoute } from '../helpers/world.ts'

const AVAILABLE = '/etc/nginx/sites-available'
const ENABLED = '/etc/nginx/sites-enabled'
const STATE = '/var/lib/proxy-manager'

const test = suite('test-candidate')

test('a warning that two server blocks have a name of ours is a refusal, although NGINX exits with 0', async () => {
  const deps = await worldWithRoute()
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes('app.example.com')) ? conflicting('app.example.com') : ACCEPTED
  const before = contentsOf(deps.disk)
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'PROXY_CONFIG_FAILED')
  assert.match(String(error.details.nginx_output), 'conflicting server name "app.example.com"')
  assert.equal(contentsOf(deps.disk), before)
  assert.is(deps.nginx.reloads, 1)
})

test("a warning that two server blocks have someone else's name blocks no change", async () => {
  const deps = await worldWithRoute()
  deps.nginx.judge = () => conflicting('shop.example.com')
  await put(deps, 'app', 'app.example.com', 8002)
  assert.is(servedPort(deps, 'app.example.com'), 8002)
})

test('a duplicate name that was there before blocks no change of another route', async () => {
  const deps = await worldWithRoute()
  deps.nginx.judge = () => conflicting('old.example.com')
  await put(deps, 'app', 'app.example.com', 8002)
  assert.is(servedPort(deps, 'app.example.com'), 8002)
})

test('a test that hangs is a refusal that names the time limit', async () => {
  const deps = await worldWithRoute()
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes('app.example.com')) ? { exitCode: 124, output: '' } : ACCEPTED
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'PROXY_CONFIG_FAILED')
  assert.is(error.details.nginx_output, 'nginx -t did not end within 15 s')
})

test('the candidate is beside the main configuration, has its own pid file, and is removed after the test', async () => {
  const deps = await worldWithRoute()
  let candidate = ''
  deps.nginx.judge = () => {
    const path = [...deps.disk.keys()].find((name) => name.startsWith('/etc/nginx/.proxy-manager-'))
    candidate = textAt(deps.disk, path ?? '') ?? ''
    return ACCEPTED
  }
  await put(deps, 'app', 'app.example.com', 8002)
  assert.is(
    candidate,
    MAIN_CONFIGURATION.replace('pid /run/nginx.pid;', `pid "${STATE}/staging/id-2.pid";`).replace(
      'include /etc/nginx/sites-enabled/*;',
      [
        `include "${AVAILABLE}/.000-proxy-manager.conf.pm-tmp";`,
        `include "${AVAILABLE}/.fpai-app.conf.pm-tmp";`,
        `include "${ENABLED}/fpai-old.conf";`,
      ].join(' '),
    ),
  )
  await assertSettled(deps)
})

test.run()
