import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startService } from '../lib/main.ts'

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

test.run()
