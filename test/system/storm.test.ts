import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startHost } from '../helpers/system/host.ts'
import { runStorm } from '../helpers/system/storm.ts'
import { startRegistry } from '../helpers/system/storm-registry.ts'

const test = suite('hard kills during a storm of changes')

test('nothing acknowledged is lost, and the disk never holds what NGINX refuses', async () => {
  const registry = await startRegistry()
  const host = await startHost({}, { REGISTRY_URL: registry.url })
  try {
    const victims = ['api', 'api', 'master', 'api', 'nginx'] as const
    const figures = await runStorm(host, { rounds: 5, clients: 12, victims, registry })
    assert.equal(figures.violations, [])
    assert.equal([figures.lost, figures.refused, figures.failed], [0, 0, 0])
    assert.ok(figures.acknowledged >= 10 && figures.moments >= 10 && figures.requests > 0)
  } finally {
    await host.close()
    registry.close()
  }
})

test.run()
