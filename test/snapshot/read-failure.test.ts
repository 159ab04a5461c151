import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { refusal } from '../helpers/arrange.ts'
import { put, worldWithRoute } from '../helpers/world.ts'

const test = suite('read failure')

for (const errno of ['EMFILE', 'ENFILE', 'EIO', 'ESTALE', 'EACCES', 'ELOOP']) {
  test(`${errno} fails every kind of call: no empty list, no 404, no accepted conflict`, async () => {
    const deps = await worldWithRoute()
    deps.effects.arrangeRead({ at: 0, code: errno, lasting: true })
    const calls = [
      () => deps.engine.listProxies(),
      () => deps.engine.getProxy('old'),
      () => put(deps, 'new', 'old.example.com', 8002),
    ]
    for (const call of calls) {
      const error = await refusal(call(), 'CONFIG_READ_FAILED')
      assert.is(error.status, 503)
      assert.ok((error.retryAfterS ?? 0) > 0)
      const { errno: found, retryable, file, remedy } = error.details
      assert.equal([found, retryable], [errno, true])
      assert.type(remedy, 'string')
      assert.not.match(String(file), '/')
    }
    deps.effects.arrangeRead(undefined)
    await refusal(put(deps, 'new', 'old.example.com', 8002), 'DOMAIN_CONFLICT')
  })
}

test('health reports what cannot be read as unhealthy, with the routes that it knows', async () => {
  const deps = await worldWithRoute()
  assert.is((await deps.engine.readHealth()).status, 'healthy')
  deps.effects.arrangeRead({ at: 0, code: 'ESTALE', lasting: true })
  const { status, reasons, routes } = await deps.engine.readHealth()
  assert.is(status, 'unhealthy')
  assert.match(reasons[0] ?? '', /cannot be read \(ESTALE\)/)
  assert.is(routes.total, 1)
})

test('a journal that cannot be read blocks changes until it can', async () => {
  const deps = await worldWithRoute()
  deps.effects.arrangeRead({ at: 0, code: 'EIO', lasting: true })
  assert.ok((await deps.engine.recover()).includes('recover_journal'))
  await refusal(put(deps, 'new', 'new.example.com', 8002), 'NGINX_RELOAD_FAILED')
  deps.effects.arrangeRead(undefined)
  await put(deps, 'new', 'new.example.com', 8002)
})

test.run()
