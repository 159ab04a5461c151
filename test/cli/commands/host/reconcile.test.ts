import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { withAnswer } from '../../../helpers/cli.ts'

const test = suite('proxy-manager reconcile')
const SUMMARY = { rendered: ['a', 'b'], shared_file: true, drifted: [] }

test('it shows what was rendered again', async () => {
  await withAnswer({ body: SUMMARY }, async ({ cli }, seen) => {
    const { status, out } = await cli('reconcile')
    assert.is(status, 0)
    assert.is(out, 'rendered     a, b\nshared file  rendered\ndrifted      none\n')
    assert.equal([seen[0]?.method, seen[0]?.url], ['POST', '/proxy-manager/reconcile'])
    assert.equal(JSON.parse((await cli('reconcile', '--json')).out), SUMMARY)
  })
})

test('--dry-run shows what would change; exit status 1 if NGINX rejects it', async () => {
  const change = { path: '/a', action: 'replace', diff: '-x\n+y\n' }
  const plan = { changes: [change], nginx_test: { ok: false, output: 'no' } }
  await withAnswer({ body: { ...SUMMARY, plan } }, async ({ cli }, seen) => {
    const { status, out } = await cli('reconcile', '--dry-run')
    assert.is(status, 1)
    assert.match(out, 'no')
    assert.is(seen[0]?.url, '/proxy-manager/reconcile?dry_run=true')
  })
})

test.run()
