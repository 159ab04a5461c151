import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { APP, withApi } from '../../helpers/cli.ts'

const test = suite('proxy-manager events')

test('it shows the last events, one a line, with who and what; --json has all of it', async () => {
  await withApi(async ({ cli }) => {
    assert.is((await cli('events')).out, 'No events found.\n')
    await cli('put', 'app', ...APP)
    const { status, out } = await cli('events')
    assert.is(status, 0)
    const [created = '', reloaded = ''] = out.split('\n')
    assert.match(
      created,
      /^2026-01-01T00:00:00\.000Z {2}route\.created {2}app {2}app\.example\.com {2}created {2}generation 1 {2}by local$/,
    )
    assert.match(reloaded, /nginx\.reloaded {2}generation 1 {2}by local$/)
    assert.is((await cli('events', '--type', 'route.created', '--droplet', 'app')).out.split('\n').length, 2)
    assert.is(JSON.parse((await cli('events', '--json', '--limit', '1')).out).events[0].type, 'nginx.reloaded')
    assert.is((await cli('events', '--limit', '0')).status, 1)
  })
})

test('--follow continues with what happens until the API ends, with one line of JSON each with --json', async () => {
  await withApi(async ({ cli }, deps) => {
    await cli('put', 'app', ...APP)
    const following = cli('events', '--follow', '--json', '--type', 'route.deleted')
    const deleted = await cli('delete', 'app')
    assert.is(deleted.status, 0)
    const origin = { actor: { kind: 'local' } } as const
    // The stream is open once its reader has read past this event.
    const ended = following.then(({ status, out, err }) => ({
      status,
      err,
      types: out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).type),
    }))
    await deps.engine.events.add({ type: 'health.changed', origin })
    while (!(await isStreaming(deps))) await new Promise((resolve) => setImmediate(resolve))
    deps.engine.streams.close()
    const { status, types, err } = await ended
    assert.equal([status, types], [3, ['route.deleted']])
    assert.match(err, 'has ended the stream')
  })
})

async function isStreaming({
  metrics,
}: {
  readonly metrics: { readonly text: () => Promise<string> }
}): Promise<boolean> {
  const [, count] =
    /operation="getEvents",status="200"\} (\d+)$/m.exec(
      (await metrics.text())
        .split('\n')
        .filter((line) => line.includes('_count'))
        .join('\n'),
    ) ?? []
  return Number(count) >= 2
}

test.run()
