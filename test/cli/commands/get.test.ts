import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { APP, withApi } from '../../helpers/cli.ts'

const test = suite('proxy-manager get and check')

test('it shows one route; --json prints the answer of the API', async () => {
  await withApi(async (api) => {
    await api.cli('put', 'app', ...APP)
    assert.match((await api.cli('get', 'app')).out, /^name {9}app\n/)
    const { status, out } = await api.cli('get', 'app', '--json')
    assert.is(status, 0)
    const route = JSON.parse(out)
    assert.equal([route.droplet_name, route.upstream_port], ['app', 8002])
    const { failure, consecutive_failures, checks, ...health } = route.health
    assert.equal([failure, consecutive_failures, checks.length], [null, 0, 1])
    assert.equal(JSON.parse((await api.cli('list', '--json')).out), [{ ...route, health }])
  })
})

test('check shows each attempt, and exits with 0 if the upstream is healthy, with 1 if it is not', async () => {
  await withApi(async ({ cli }, deps) => {
    await cli('put', 'app', ...APP)
    const good = await cli('check', 'app')
    assert.is(good.status, 0)
    assert.match(
      good.out,
      /^name +app\nupstream +http:\/\/localhost:8002\nattempts +127\.0\.0\.1 \/health: 200\nresult +healthy after 0 ms\nhealth +healthy since \S+; last check: 0 ms\n$/,
    )
    deps.nginx.upstreams.set(8002, 'ECONNREFUSED')
    const bad = await cli('check', 'app')
    assert.is(bad.status, 1)
    assert.match(bad.out, /^attempts +127\.0\.0\.1 \/health: ECONNREFUSED\n +::1 \/health: ECONNREFUSED$/m)
    assert.match(bad.out, /^result +failed after 0 ms: ECONNREFUSED$/m)
    assert.is(JSON.parse((await cli('check', 'app', '--json')).out).health.consecutive_failures, 2)
    assert.match(
      (await cli('get', 'app')).out,
      /^health +healthy since \S+; last check: ECONNREFUSED, failures in a row: 2$/m,
    )
    await cli('check', 'app')
    assert.match((await cli('list', '--health', 'unhealthy')).out, /^app .* unhealthy /m)
    assert.is((await cli('list', '--health', 'healthy')).out, 'No routes found.\n')
    const { out } = await cli('health')
    assert.match(out, /1 unhealthy\)/)
    assert.match(out, /1 of the upstreams fail their health checks: see "proxy-manager list --health unhealthy"/)
    assert.is((await cli('check', 'none')).status, 1)
  })
})

test.run()
