import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { APP, withApi } from '../../helpers/cli.ts'

const test = suite('proxy-manager list')

test('it shows every route in columns, or those with a status or a domain', async () => {
  await withApi(async (api) => {
    assert.is((await api.cli('list')).out, 'No routes found.\n')
    await api.cli('put', 'app', ...APP)
    await api.cli('put', 'b', '--domain', 'b.example.com', '--upstream', 'http://localhost:8003')
    const { status, out } = await api.cli('list')
    assert.is(status, 0)
    assert.is(
      out,
      [
        'NAME  DOMAIN           UPSTREAM               STATUS       HEALTH   CERTIFICATE UNTIL',
        'app   app.example.com  http://localhost:8002  active       healthy  -',
        'b     b.example.com    http://localhost:8003  pending_ssl  healthy  -\n',
      ].join('\n'),
    )
    assert.not.match((await api.cli('list', '--status', 'pending_ssl')).out, /^app/m)
    assert.not.match((await api.cli('list', '--domain=app.example.com')).out, /^b /m)
  })
})

test.run()
