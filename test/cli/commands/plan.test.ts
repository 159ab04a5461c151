import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { contentsOf, refused } from '../../helpers/arrange.ts'
import { APP, withApi } from '../../helpers/cli.ts'

const test = suite('proxy-manager plan')

test('it shows the diff and what NGINX says of it, and changes nothing', async () => {
  await withApi(async ({ cli }, deps) => {
    const before = contentsOf(deps.disk)
    const { status, out } = await cli('plan', 'app', ...APP)
    assert.is(status, 0)
    assert.match(out, /^create .*\/sites-available\/fpai-app\.conf$/m)
    assert.match(out, /^\+ +server_name app\.example\.com;$/m)
    assert.match(out, /\nNGINX accepts it\.\n$/)
    assert.equal(contentsOf(deps.disk), before)
    await cli('put', 'app', ...APP)
    assert.is((await cli('plan', 'app', ...APP)).out, 'Nothing would change.\n')
  })
})

test('exit status 1 if NGINX rejects it, with its message', async () => {
  await withApi(async ({ cli }, deps) => {
    deps.nginx.judge = () => refused('fpai-app.conf', 3, 'unknown directive "x"')
    const { status, out } = await cli('plan', 'app', ...APP)
    assert.is(status, 1)
    assert.match(out, /\nNGINX rejects it:\n.*unknown directive/)
    assert.is((await cli('plan', 'app', ...APP, '--json')).status, 1)
  })
})

test.run()
