import type { RequestListener, ServerResponse } from 'node:http'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startServer } from '../../fixtures/loopback-server.ts'
import { runCli } from '../helpers/cli.ts'

const test = suite('progress on the command line')

const SUMMARY = { rendered: [], shared_file: false, drifted: [] }
const stepOf = (step: string, details: object = {}) =>
  `event: progress\ndata: ${JSON.stringify({ type: 'progress', step, droplet_name: 'app', changes: 1, details })}\n\n`

interface Slow {
  /** One second passes. */
  readonly tick: () => Promise<void>
  /** Sends on the stream, and lets seconds pass until so many lines are shown; the seconds that each says, and the rest of it. */
  readonly shown: (lines: number, text?: string) => Promise<readonly (readonly [words: string, seconds: number])[]>
  readonly streams: readonly string[]
  readonly err: readonly string[]
}

/** A reconcile that lasts until it is answered, on an API that answers a stream as `onStream` does. */
async function slowCall(
  use: (slow: Slow) => Promise<void>,
  onStream: (response: ServerResponse) => void = (response) =>
    void response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' }).write('retry: 3000\n\n'),
): Promise<void> {
  const streams: string[] = []
  const err: string[] = []
  let answer: () => void = () => undefined
  let send: (text: string) => void = () => undefined
  let correlationId: unknown
  const listener: RequestListener = (request, response) => {
    if (request.method === 'GET') {
      streams.push(request.url ?? '')
      send = (text) => void response.write(text)
      return onStream(response)
    }
    correlationId = request.headers['x-correlation-id']
    answer = () => void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(SUMMARY))
  }
  const server = await startServer(listener)
  try {
    let act: () => void = () => undefined
    const every = (_: number, job: () => void) => {
      act = job
      return () => {
        act = () => undefined
      }
    }
    const ended = runCli(['reconcile'], { PROXY_MANAGER_URL: server.url }, {}, { every, err: (text) => err.push(text) })
    const turn = () => new Promise((resolve) => setImmediate(resolve))
    while (correlationId === undefined) await turn()
    const tick = async () => {
      act()
      await turn()
    }
    const shown: Slow['shown'] = async (lines, text = '') => {
      while (streams.length === 0) await tick()
      send(text)
      while (err.length < lines) await tick()
      return err.map((line) => {
        const [, seconds, words = ''] = /^app \((\d+) s\): (.*)\n$/.exec(line) ?? []
        return [words, Number(seconds)]
      })
    }
    await use({ tick, shown, streams, err })
    answer()
    const { status, out } = await ended
    assert.equal([status, out.split('\n')[0]], [0, 'rendered     none'])
    const wanted = `/events?type=progress&correlation_id=${correlationId}`
    assert.ok(streams.every((url) => url === wanted))
  } finally {
    server.close()
  }
}

test('a call that is answered within a second opens no stream and says nothing', async () => {
  await slowCall(async ({ streams, err }) => assert.equal([streams, err], [[], []]))
})

test('without a terminal, each step that lasts is one line, and one again after 15 seconds', async () => {
  await slowCall(async ({ shown }) => {
    await shown(1, `${stepOf('testing')}${stepOf('ordering')}`)
    await shown(2)
    const [first, again, queued] = await shown(3, stepOf('queued', { orders_waiting: 1 }))
    assert.equal([first?.[0], again?.[0]], Array(2).fill('certbot is ordering the certificate'))
    assert.is(Number(again?.[1]) - Number(first?.[1]), 15)
    assert.is(queued?.[0], 'waiting for other orders')
  })
})

test('a step that this version does not know is shown by its name, without control characters', async () => {
  await slowCall(async ({ shown }) => {
    const [[words] = []] = await shown(1, stepOf('dancing\u001b[2J'))
    assert.is(words, 'dancing?[2J')
  })
})

for (const [who, status] of [
  ['a token that may not read events', 403],
  ['too many streams', 429],
  ['an API without them', 404],
] as const)
  test(`${who}: the call is as it is, and nothing is shown`, async () => {
    const refuse = (response: ServerResponse) => void response.writeHead(status).end('{}')
    await slowCall(async ({ tick, streams, err }) => {
      for (let second = 1; second <= 5; second++) await tick()
      assert.equal([streams.length, err], [1, []])
    }, refuse)
  })

test.run()
