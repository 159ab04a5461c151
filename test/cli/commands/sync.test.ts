import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { withAnswer, withApi } from '../../helpers/cli.ts'

const test = suite('proxy-manager sync')

const SUMMARY = {
  created: ['a', 'b'],
  updated: [],
  unchanged: ['c'],
  deleted: [],
  skipped: [
    { name: 'x y', reason: 'no' },
    { name: 'z', reason: 'neither' },
  ],
  orphaned: [],
}

test('it shows what became of each droplet', async () => {
  await withAnswer({ body: SUMMARY }, async ({ cli }, seen) => {
    const { status, out } = await cli('sync')
    assert.is(status, 0)
    assert.is(
      out,
      [
        'created    2: a, b',
        'updated    0',
        'unchanged  1: c',
        'deleted    0',
        'orphaned   0',
        'skipped    x y: no',
        '           z: neither\n',
      ].join('\n'),
    )
    assert.equal([seen[0]?.method, seen[0]?.url], ['POST', '/proxy-manager/sync-from-registry'])
    assert.equal(JSON.parse((await cli('sync', '--json')).out), SUMMARY)
  })
})

test('--dry-run shows what would change; exit status 1 if NGINX rejects it', async () => {
  const changes = [{ path: '/sites-available/fpai-a.conf', action: 'create', diff: '+server {}\n' }]
  const planned = (ok: boolean, output: string) => ({ ...SUMMARY, plan: { changes, nginx_test: { ok, output } } })
  await withAnswer({ body: planned(true, 'ok') }, async ({ cli }) => {
    const { status, out } = await cli('sync', '--dry-run')
    assert.is(status, 0)
    assert.ok(out.endsWith('neither\n\ncreate /sites-available/fpai-a.conf\n+server {}\n\nNGINX accepts it.\n'), out)
  })
  await withAnswer({ body: planned(false, 'no such thing') }, async ({ cli }) => {
    const { status, out } = await cli('sync', '--dry-run')
    assert.is(status, 1)
    assert.match(out, /\nNGINX rejects it:\nno such thing\n$/)
    const json = await cli('sync', '--dry-run', '--json')
    assert.equal([json.status, JSON.parse(json.out)], [1, planned(false, 'no such thing')])
  })
  await withAnswer(
    { body: { ...planned(true, ''), plan: { changes: [], nginx_test: { ok: true, output: '' } } } },
    async ({ cli }) => {
      const { status, out } = await cli('sync', '--dry-run')
      assert.is(status, 0)
      assert.match(out, /\n\nNothing would change\.\n$/)
    },
  )
})

test('it passes its options to the API', async () => {
  await withAnswer({ body: SUMMARY }, async ({ cli }, seen) => {
    await cli('sync', '--dry-run', '--prune', '--confirm', '7', '--require-healthy', '--no-ssl')
    assert.is(seen[0]?.url.split('?')[1], 'dry_run=true&prune=true&confirm=7&require_healthy=true&enable_ssl=false')
    assert.is((await cli('sync', '--confirm', 'all')).status, 2)
    assert.is(seen.length, 1)
  })
})

test('exit status 1 without a Registry', async () => {
  await withApi(async ({ cli }) => {
    const { status, err } = await cli('sync')
    assert.is(status, 1)
    assert.match(err, /REGISTRY_NOT_CONFIGURED/)
  })
})

test.run()
