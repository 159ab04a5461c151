import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { put, remove, worldWithRoute } from '../helpers/world.ts'

const test = suite('route-view')

test('the health shown for an upstream is never that of a previous one', async () => {
  const deps = await worldWithRoute()
  const shownHealth = async () => {
    const { last_health_status, last_health_checked_at } = await deps.engine.getProxy('old')
    return [last_health_status, last_health_checked_at]
  }
  await deps.clock.sleep(1000)
  await put(deps, 'old', 'old.example.com', 8001)
  assert.equal(await shownHealth(), ['healthy', '2026-01-01T00:00:01.000Z'])
  const { proxy } = await put(deps, 'old', 'old.example.com', 8002, false)
  assert.is(proxy.last_health_status, 'unknown')
  assert.equal(await shownHealth(), ['unknown', null])
  await put(deps, 'old', 'old.example.com', 8003)
  await put(deps, 'old', 'old.example.com', 8004, false)
  assert.equal(await shownHealth(), ['unknown', null])
  await put(deps, 'old', 'old.example.com', 8004)
  await remove(deps, 'old')
  await put(deps, 'old', 'old.example.com', 8005, false)
  assert.equal(await shownHealth(), ['unknown', null])
})

test.run()
