import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { APP, runCli, withApi } from '../../helpers/cli.ts'

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

const WIDE = 'https://[2001:db8:1111:2222:3333:4444:5555:6666]:8443'

for (const columns of [60, 80, 100]) {
  test(`on a terminal of ${columns} columns every line fits; cut cells end with an ellipsis`, async () => {
    await withApi(async ({ cli, environment }) => {
      await cli(
        'put',
        'app',
        '--domain=a-rather-long-name.of.some.example.com',
        `--upstream=${WIDE}`,
        '--no-health-check',
      )
      const full = (await cli('list')).out
      assert.ok(full.includes(WIDE))
      const { out } = await runCli(['list'], environment, {}, { columns, isTerminal: true })
      const [heading = '', row = '', ...rest] = out.trimEnd().split('\n')
      assert.equal(rest, [])
      assert.ok(
        [heading, row].every((line) => line.length <= columns),
        out,
      )
      assert.match(row, /^app .*… .*… .*pending/)
      assert.match(heading, /^NAME +DOMAIN +UPSTREAM +STATUS/)
      assert.is((await runCli(['list'], environment, {}, { columns: 400, isTerminal: true })).out, full)
    })
  })
}

test('on a terminal, too, the output has no escape sequences, and JSON is complete', async () => {
  await withApi(async ({ cli, environment }) => {
    await cli('put', 'app', '--domain=app.example.com', `--upstream=${WIDE}`, '--no-health-check')
    const onTerminal = { columns: 40, isTerminal: true }
    for (const argv of [['list'], ['get', 'app'], ['health'], ['plan', 'app', '--hsts']])
      assert.not.match((await runCli(argv, { TERM: 'xterm-256color', ...environment }, {}, onTerminal)).out, '\u001b')
    assert.is((await runCli(['list', '--json'], environment, {}, onTerminal)).out, (await cli('list', '--json')).out)
  })
})

test.run()
