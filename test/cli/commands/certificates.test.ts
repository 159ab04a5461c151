import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { certificateFor } from '../../helpers/certbot.ts'
import { APP, runCli, withApi } from '../../helpers/cli.ts'

const test = suite('proxy-manager certificates')

const PAIR = certificateFor('app.example.com')
const UPLOAD = ['upload-certificate', 'corp', '--certificate', 'fullchain.pem', '--key', 'privkey.pem']

const FILES: Readonly<Record<string, string>> = { 'fullchain.pem': PAIR.fullchain, 'privkey.pem': PAIR.privkey }
test('a pair of files is uploaded, chosen for a route, listed, and deleted once no route uses it; no key is shown', async () => {
  await withApi(async ({ environment }, deps) => {
    const cli = (...argv: string[]) => runCli(argv, environment, FILES)
    const planned = await cli(...UPLOAD, '--dry-run')
    assert.equal([planned.status, /record\.json/.test(planned.out)], [0, true])
    assert.match((await cli('certificates')).out, 'No certificates found.')
    const stored = await cli(...UPLOAD)
    assert.is(stored.status, 0, stored.err)
    assert.match(
      stored.out,
      /^name {9}corp\ncertificate {2}CN=Test CA, until 2026-03-31.*\ndomains {6}app\.example\.com\nused by {6}no route\n$/,
    )
    const put = await cli('put', 'app', ...APP.filter((flag) => flag !== '--no-ssl'), '--certificate', 'corp')
    assert.match(put.out, /^certificate {2}CN=Test CA, until .*\n {13}uploaded corp: the route names it$/m)
    assert.match((await cli('put', 'app', '--maintenance')).out, /uploaded corp: the route names it/)
    assert.match((await cli('certificates')).out, /^corp {2}uploaded {2}app\.example\.com {2}2026-03-31 {2}app {6}-/m)
    const used = await cli('delete-certificate', 'corp')
    assert.equal([used.status, /users: app/.test(used.err)], [1, true])
    await cli('put', 'app', '--no-certificate', '--no-ssl')
    assert.is((await cli('delete-certificate', 'corp', '--dry-run')).status, 0)
    assert.is((await cli('delete-certificate', 'corp')).out, 'corp deleted.\n')
    for (const { out, err } of [planned, stored, put, used]) assert.not.match(out + err, /BEGIN|PRIVATE/)
    assert.not.match(JSON.stringify(deps.lines), /BEGIN|PRIVATE/)
  })
})

test('a lineage of certbot is chosen with lineage: in front of its name', async () => {
  await withApi(async ({ cli }) => {
    const { status, err } = await cli(
      'put',
      'app',
      ...APP.filter((flag) => flag !== '--no-ssl'),
      '--certificate',
      'lineage:none',
    )
    assert.is(status, 1)
    assert.match(err, 'certbot has no lineage none')
    assert.match(err, '"proxy-manager certificates"')
  })
})

test('a file that is not named, or cannot be read, is a wrong usage', async () => {
  await withApi(async ({ environment }) => {
    const cli = (...argv: string[]) => runCli(argv, environment, FILES)
    for (const [argv, fault] of [
      [['upload-certificate', 'corp', '--key', 'privkey.pem'], '--certificate is required'],
      [
        ['upload-certificate', 'corp', '--certificate', 'fullchain.pem', '--key', 'none'],
        'none cannot be read (ENOENT)',
      ],
    ] as const) {
      const { status, err } = await cli(...argv)
      assert.is(status, 2)
      assert.match(err, fault)
    }
  })
})

test.run()
