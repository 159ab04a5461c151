import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { recoverOnce, startService } from '../lib/main.ts'

interface Context {
  root: string
  environment: Record<string, string>
}

const test = suite<Context>('a service on this host')

test.before.each((context) => {
  const root = mkdtempSync(join(tmpdir(), 'proxy-manager-service-'))
  for (const folder of ['state', 'sites-available', 'sites-enabled']) mkdirSync(join(root, folder))
  writeFileSync(join(root, 'nginx.conf'), `events {}\nhttp { include ${root}/sites-enabled/*; }\n`)
  context.root = root
  context.environment = {
    PROXY_MANAGER_STATE_DIR: join(root, 'state'),
    NGINX_SITES_AVAILABLE: join(root, 'sites-available'),
    NGINX_SITES_ENABLED: join(root, 'sites-enabled'),
    NGINX_BIN: join(root, 'no-nginx'),
    NGINX_CONF: join(root, 'nginx.conf'),
    LOG_LEVEL: 'error',
  }
})
test.after.each(({ root }) => rmSync(root, { recursive: true, force: true }))

async function start({ environment }: Context) {
  const service = await startService(environment)
  if ('fault' in service) throw new Error(service.fault)
  return service
}

test('a second close has no effect, so that the lock of the next service stays', async (context) => {
  const first = await start(context)
  await Promise.all([first.close(), first.close()])
  const second = await start(context)
  await first.close()
  const third = await startService(context.environment)
  await second.close()
  assert.match('fault' in third ? third.fault : '', /is in use by process \d+/)
})

test('a start, and a recovery, before the files of the routes are mounted exit with 75 and change nothing', async (context) => {
  const { root, environment } = context
  symlinkSync(join(root, 'sites-available', 'fpai-a.conf'), join(root, 'sites-enabled', 'fpai-a.conf'))
  const started = await startService(environment)
  assert.equal('fault' in started && started.exitStatus, 75)
  const recovery = await recoverOnce(environment)
  assert.ok('fault' in recovery && recovery.isTransient)
  assert.equal(readdirSync(join(root, 'sites-enabled')), ['fpai-a.conf'])
  rmSync(join(root, 'sites-enabled', 'fpai-a.conf'))
  mkdirSync(join(root, 'state', 'last-good'), { recursive: true })
  writeFileSync(join(root, 'state', 'last-good', 'fpai-a.conf'), 'x')
  assert.ok('fault' in (await recoverOnce(environment)))
  rmSync(join(root, 'sites-available'), { recursive: true })
  assert.ok('fault' in (await startService(environment)))
  assert.not.ok(existsSync(join(root, 'sites-available')))
  // The lock was released each time.
  rmSync(join(root, 'state', 'last-good', 'fpai-a.conf'))
  await (await start(context)).close()
})

test('networks of trusted proxies are refused by an NGINX without the geo module, and addresses are not', async (context) => {
  const nginx = join(context.root, 'nginx')
  const configured = '--with-http_realip_module --without-http_geo_module'
  writeFileSync(nginx, `#!/bin/sh\necho "nginx version: nginx/1.22.1\nconfigure arguments: ${configured}"\n`, {
    mode: 0o755,
  })
  const environment = { ...context.environment, NGINX_BIN: nginx }
  const refused = await startService({ ...environment, TRUSTED_PROXIES: '192.0.2.7,10.0.0.0/8' })
  assert.match('fault' in refused ? refused.fault : '', /^TRUSTED_PROXIES: .*ngx_http_geo_module, got 10\.0\.0\.0\/8$/)
  assert.is('fault' in refused && refused.exitStatus, 78)
  // The lock is free again.
  const service = await start({ ...context, environment: { ...environment, TRUSTED_PROXIES: '192.0.2.7' } })
  await service.close()
})

test('two services with one of the sites directories in common exclude each other, whatever their state directories', async (context) => {
  const { root, environment } = context
  const service = await start(context)
  symlinkSync(join(root, 'sites-available'), join(root, 'another-spelling'))
  const others = {
    PROXY_MANAGER_STATE_DIR: join(root, 'state-2'),
    NGINX_SITES_AVAILABLE: join(root, 'another-spelling'),
    NGINX_SITES_ENABLED: join(root, 'enabled-2'),
  }
  mkdirSync(join(root, 'enabled-2'))
  const started = await startService({ ...environment, ...others })
  assert.is('fault' in started && started.exitStatus, 75)
  assert.match(
    'fault' in started ? started.fault : '',
    /sites-available is in use by process \d+, a Proxy Manager with/,
  )
  assert.ok('fault' in (await recoverOnce({ ...environment, ...others })))
  await service.close()
  const second = await startService({ ...environment, ...others })
  if ('fault' in second) throw new Error(second.fault)
  await second.close()
  assert.equal([readdirSync(join(root, 'sites-available')), readdirSync(join(root, 'sites-enabled'))], [[], []])
})

test("exit status 78 for a state directory with somebody else's files, which stay as they are", async ({
  root,
  environment,
}) => {
  mkdirSync(join(root, 'state/staging/shop'), { recursive: true })
  const started = await startService(environment)
  assert.is('fault' in started && started.exitStatus, 78)
  assert.match('fault' in started ? started.fault : '', `PROXY_MANAGER_STATE_DIR: ${root}/state has files that are not`)
  assert.equal(readdirSync(join(root, 'state/staging')), ['shop'])
  assert.equal(readdirSync(join(root, 'state')), ['staging'])
})

test.run()
