import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { APP, withApi } from '../../helpers/cli.ts'

const test = suite('proxy-manager get')

test('it shows one route; --json prints the answer of the API', async () => {
  await withApi(async (api) => {
    await api.cli('put', 'app', ...APP)
    assert.match((await api.cli('get', 'app')).out, /^name {9}app\n/)
    const { status, out } = await api.cli('get', 'app', '--json')
    assert.is(status, 0)
    const route = JSON.parse(out)
    assert.equal([route.droplet_name, route.upstream_port], ['app', 8002])
    assert.equal(JSON.parse((await api.cli('list', '--json')).out), [route])
  })
})

test.run()
