import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { APP, withAnswer, withApi } from '../../helpers/cli.ts'

const test = suite('proxy-manager export, apply')

const SUMMARY = { created: ['a'], updated: [], unchanged: [], deleted: [], skipped: [], skipped_count: 0, orphaned: [] }

test('apply makes the routes what export has printed', async () => {
  await withApi(async ({ cli, files }) => {
    await cli('put', 'app', ...APP)
    files['routes.json'] = (await cli('export')).out
    assert.equal(JSON.parse(files['routes.json']).routes[0].domain, 'app.example.com')
    await cli('delete', 'app')
    const planned = await cli('apply', 'routes.json', '--dry-run')
    assert.match(planned.out, /^created {4}1: app\n[\s\S]*\n\ncreate .*fpai-app\.conf\n[\s\S]*NGINX accepts it\.\n$/)
    const { status, out } = await cli('apply', 'routes.json')
    assert.equal([status, out.split('\n')[0]], [0, 'created    1: app'])
    files['-'] = files['routes.json']
    assert.match((await cli('apply', '-')).out, /unchanged {2}1: app/)
  })
})

test('a skipped route is exit status 1; the flags are parameters', async () => {
  const skipped = { ...SUMMARY, skipped: [{ name: 'b', reason: 'no' }] }
  await withAnswer({ body: skipped }, async ({ cli, files }, seen) => {
    files['routes.json'] = '{"version":1,"routes":[]}'
    const { status, out } = await cli('apply', 'routes.json', '--prune', '--confirm', '3', '--no-health-check')
    assert.is(status, 1)
    assert.match(out, /\nskipped {4}b: no\n$/)
    assert.equal([seen[0]?.method, seen[0]?.url], ['POST', '/import?prune=true&confirm=3&require_healthy=false'])
  })
})

test('a file that is missing or no JSON is wrong usage', async () => {
  await withAnswer({ body: SUMMARY }, async ({ cli, files }, seen) => {
    files.text = 'nonsense'
    for (const [file, message] of [
      ['none.json', 'cannot be read (ENOENT)'],
      ['text', 'is not JSON'],
    ] as const) {
      const { status, err } = await cli('apply', file)
      assert.equal([status, err], [2, `proxy-manager: ${file} ${message}\n`])
    }
    assert.equal(seen, [])
  })
})

test.run()
