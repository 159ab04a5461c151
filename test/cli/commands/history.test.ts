import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { APP, withApi } from '../../helpers/cli.ts'

const test = suite('proxy-manager history and rollback')

test('history shows the versions, the newest first, and with --diff what each has changed', async () => {
  await withApi(async ({ cli }) => {
    await cli('put', 'app', ...APP)
    await cli('put', 'app', '--upstream', 'http://localhost:8003')
    const { status, out } = await cli('history', 'app')
    assert.is(status, 0)
    assert.match(out, /^VERSION {2}AT +OUTCOME +BY\n2 +2026-\S+ +replaced +local\n1 +2026-\S+ +created +local\n$/)
    assert.match(
      (await cli('history', 'app', '--diff')).out,
      /^version 2\n(.*\n)*- {2}"upstream_port": 8002,\n\+ {2}"upstream_port": 8003,$/m,
    )
    assert.is((await cli('history', 'none')).status, 1)
  })
})

test('rollback puts the version before or a named one; --dry-run only shows what would change', async () => {
  await withApi(async ({ cli }) => {
    await cli('put', 'app', ...APP)
    await cli('put', 'app', '--upstream', 'http://localhost:8003')
    assert.match((await cli('rollback', 'app', '--dry-run')).out, 'NGINX accepts it.')
    assert.match((await cli('get', 'app')).out, /^upstream +http:\/\/localhost:8003$/m)
    const { status, out } = await cli('rollback', 'app')
    assert.is(status, 0)
    assert.match(out, /^app rolled back\.\n\nname +app\n/)
    assert.match((await cli('get', 'app')).out, /^upstream +http:\/\/localhost:8002$/m)
    assert.is((await cli('rollback', 'app', '--to', '2')).status, 0)
    const missing = await cli('rollback', 'app', '--to', '9')
    assert.equal([missing.status, (await cli('rollback', 'app', '--to', 'x')).status], [1, 2])
    assert.match(missing.err, 'The route has no such version')
  })
})

test.run()
