import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import { fakeNginx } from '../../fixtures/fake-nginx.ts'
import { onReload, refusal, textAt } from '../helpers/arrange.ts'
import { put, worldWithRoute } from '../helpers/world.ts'

const ENABLED = '/etc/nginx/sites-enabled'

const test = suite('create-engine')

test('until a change is confirmed, reads return the previous state', async () => {
  const deps = await worldWithRoute()
  const seen: Promise<unknown>[] = []
  onReload(deps, () => {
    assert.match(textAt(deps.disk, `${ENABLED}/fpai-old.conf`) ?? '', '8002')
    seen.push(
      deps.engine.getProxy('old').then((proxy) => proxy.upstream_port),
      deps.engine.listProxies().then((proxies) => proxies.map((proxy) => proxy.droplet_name)),
      refusal(deps.engine.getProxy('app'), 'PROXY_NOT_FOUND').then(({ code }) => code),
    )
  })
  await Promise.all([put(deps, 'old', 'old.example.com', 8002), put(deps, 'app', 'app.example.com', 8003)])
  assert.equal(await Promise.all(seen), [8001, ['old'], 'PROXY_NOT_FOUND'])
  assert.is((await deps.engine.getProxy('old')).upstream_port, 8002)
  assert.is((await deps.engine.listProxies()).length, 2)
})

test('a start with Angie says once that it is not supported, in the log and in health; one with NGINX does not', async () => {
  for (const [version, expected] of [
    ['Angie version: Angie/1.8.0', ['Angie is not supported: use NGINX']],
    ['nginx version: nginx/1.22.1', []],
  ] as const) {
    const nginx = fakeNginx()
    nginx.version = nginx.version.replace('nginx version: nginx/1.22.1', version)
    const deps = await fakeDeps({ nginx })
    await deps.engine.recover()
    assert.equal(
      deps.lines.filter(({ action }) => action === 'check_nginx').map(({ cause }) => cause),
      expected,
    )
    const { reasons } = await deps.engine.readHealth()
    assert.equal(
      reasons.filter((reason) => reason.includes('Angie')),
      expected,
    )
  }
})

test.run()
