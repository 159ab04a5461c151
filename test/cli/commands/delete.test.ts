import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { APP, withAnswer, withApi } from '../../helpers/cli.ts'

const test = suite('proxy-manager delete')

test('it deletes a route; --dry-run only shows what would change', async () => {
  await withApi(async (api) => {
    await api.cli('put', 'app', ...APP)
    assert.match((await api.cli('delete', 'app', '--dry-run')).out, /^delete .*\/fpai-app\.conf$/m)
    assert.is((await api.cli('get', 'app')).status, 0)
    const { status, out } = await api.cli('delete', 'app')
    assert.equal([status, out], [0, 'app deleted.\n'])
    assert.is((await api.cli('delete', 'app')).status, 1)
  })
})

test('with --drain it waits, and says whether the droplet may be stopped', async () => {
  await withApi(async (api) => {
    await api.cli('put', 'app', ...APP)
    const { status, out } = await api.cli('delete', 'app', '--drain', '30')
    assert.is(status, 0)
    assert.is(out, 'app deleted.\nhttp://localhost:8002 is drained: its droplet may be stopped\n')
  })
})

test('with --delete-certificate it says whether the certificate was deleted', async () => {
  for (const [certificate_deleted, message] of [
    [true, 'Its certificate was deleted.'],
    [false, "Its certificate was not deleted: see the API's log."],
  ] as const) {
    const body = { status: 'deleted', droplet_name: 'app', certificate_deleted }
    await withAnswer({ body }, async ({ cli }, seen) => {
      assert.is((await cli('delete', 'app', '--delete-certificate')).out, `app deleted. ${message}\n`)
      assert.is(seen[0]?.url, '/proxies/app?delete_certificate=true')
    })
  }
})

test.run()
