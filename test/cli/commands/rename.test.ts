import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { APP, withApi } from '../../helpers/cli.ts'

const test = suite('proxy-manager rename')

test('it gives a route another name; --dry-run only shows what would change', async () => {
  await withApi(async ({ cli }) => {
    await cli('put', 'app', ...APP)
    const dryRun = await cli('rename', 'app', 'other', '--dry-run')
    assert.match(dryRun.out, /^create .*\/sites-available\/fpai-other\.conf$/m)
    assert.is((await cli('get', 'app')).status, 0)
    const { status, out } = await cli('rename', 'app', 'other')
    assert.is(status, 0)
    assert.match(out, /^app renamed to other\.\n\nname +other\ndomain +app\.example\.com\n/)
    assert.is((await cli('get', 'other')).status, 0)
    assert.is((await cli('rename', 'app', 'other')).status, 1)
  })
})

test('without a new name it is wrong usage', async () => {
  await withApi(async ({ cli }) => {
    const { status, err } = await cli('rename', 'app')
    assert.is(status, 2)
    assert.match(err, /missing required argument 'new-name'/)
  })
})

test.run()
