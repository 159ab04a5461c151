import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import { contentsOf, countEffects, refusal, refused } from '../helpers/arrange.ts'
import { put, routeFilesOf } from '../helpers/world.ts'

const ENABLED = '/etc/nginx/sites-enabled'
const STATE = '/var/lib/proxy-manager'

const test = suite('nginx-control: a host without a main configuration')

test('files are swapped, then tested, then NGINX is reloaded; the receipt claims no more than an exit status', async () => {
  const deps = await fakeDeps({ mainConfiguration: null })
  const { receipt } = await put(deps, 'app', 'app.example.com', 8002)
  assert.equal([receipt.reloaded, receipt.proved_by], [true, 'exit_status'])
  const order = deps.effects.journal
    .filter(({ verb, subject }) => verb === 'run' || subject.startsWith('/etc/nginx/'))
    .map(({ verb, subject }) => `${verb} ${subject}`)
  const last = order.lastIndexOf(`rename ${ENABLED}/fpai-app.conf`)
  const [tested, reloaded] = ['run /usr/sbin/nginx -t', 'run /usr/sbin/nginx -s reload'].map((run) =>
    order.indexOf(run),
  )
  assert.ok(last > 0 && tested !== undefined && reloaded !== undefined && last < tested && tested < reloaded)
  assert.is(deps.nginx.reloads, 0)
  assert.is(countEffects(deps, /^run .* -t/), 1)
})

test('if the test fails, the files are restored without a reload', async () => {
  const deps = await fakeDeps({ mainConfiguration: null })
  await put(deps, 'old', 'old.example.com', 8001)
  const before = contentsOf(deps.disk)
  const from = deps.effects.journal.length
  deps.nginx.judge = () => refused('fpai-app.conf', 3, 'invalid parameter "x"')
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'PROXY_CONFIG_FAILED')
  assert.is(error.details.state, 'rolled_back')
  assert.equal(error.details.diagnostics, [
    { level: 'emerg', file: 'fpai-app.conf', line: 3, message: 'invalid parameter "x"' },
  ])
  assert.equal(contentsOf(deps.disk), before)
  assert.is(countEffects(deps, /-s reload/, from), 0)
})

test('if the reload fails, the files are restored and reloaded', async () => {
  const deps = await fakeDeps({ mainConfiguration: null })
  await put(deps, 'old', 'old.example.com', 8001)
  const routes = routeFilesOf(deps)
  const { runner } = deps.host
  const run = runner.run
  let reloads = 0
  runner.run = async (file, args, options) => {
    if (args[0] === '-s' && ++reloads === 1)
      return { exitCode: 1, output: 'nginx: [error] open() "/run/nginx.pid" failed (2: No such file or directory)\n' }
    return await run(file, args, options)
  }
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  assert.equal([error.details.state, error.details.reason], ['rolled_back', 'refused'])
  assert.is(error.details.nginx_output, 'nginx: [error] open() "nginx.pid" failed (2: No such file or directory)')
  assert.equal(routeFilesOf(deps), routes)
  assert.is(reloads, 2)
  assert.not.ok(deps.disk.has(`${STATE}/journal`))
})

test('NGINX_CONF is passed to every call', async () => {
  const deps = await fakeDeps({ mainConfiguration: null, settings: { NGINX_CONF: '/opt/nginx/nginx.conf' } })
  await put(deps, 'app', 'app.example.com', 8002)
  assert.equal(
    deps.effects.journal.filter(({ verb }) => verb === 'run').map(({ subject }) => subject),
    [
      '/usr/sbin/nginx -V',
      '/usr/sbin/nginx -t -c /opt/nginx/nginx.conf',
      '/usr/sbin/nginx -s reload -c /opt/nginx/nginx.conf',
    ],
  )
})

test('without a binary the change is undone, and the error names what is missing', async () => {
  const deps = await fakeDeps({ settings: { NGINX_BIN: '/opt/none/nginx' } })
  const before = contentsOf(deps.disk)
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'PROXY_CONFIG_FAILED')
  assert.is(error.details.nginx_output, 'NGINX cannot be run: install it, or correct NGINX_BIN')
  assert.equal(contentsOf(deps.disk), before)
})

test.run()
