import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import type { HttpAnswer } from '../../lib/adapters/http-client.ts'
import { registryReader } from '../../lib/mesh/registry-client.ts'
import { refusal } from '../helpers/arrange.ts'

const test = suite('registry client')

/** A reader whose readings wait until the test answers them. */
async function heldReader() {
  const { host } = await fakeDeps({ settings: { REGISTRY_URL: 'http://registry.example:8000' } })
  const asked: ((answer: HttpAnswer) => void)[] = []
  const http = { request: () => new Promise<HttpAnswer>((resolve) => asked.push(resolve)) }
  const pauses: number[] = []
  const clock = {
    ...host.clock,
    sleep: async (ms: number) => {
      pauses.push(ms)
    },
  }
  const listing = (...names: readonly string[]) => ({
    status: 200,
    body: JSON.stringify(names.map((name) => ({ name, domain: `${name}.example.com`, port: 9000 }))),
  })
  return { read: registryReader({ ...host, http, clock }), asked, listing, pauses }
}

const namesOf = async (reading: ReturnType<ReturnType<typeof registryReader>>) =>
  (await reading).routes.map(({ dropletName }) => dropletName)

test('one reading at a time; calls meanwhile share the next, and none gets an answer that is older than the call', async () => {
  const { read, asked, listing } = await heldReader()
  const first = read()
  const others = [read(), read(), read()]
  assert.is(asked.length, 1)
  asked[0]?.(listing('old'))
  assert.equal(await namesOf(first), ['old'])
  others.push(read())
  await Promise.resolve()
  assert.is(asked.length, 2)
  const late = read()
  asked[1]?.(listing('new'))
  assert.equal(await Promise.all(others.slice(0, 3).map(namesOf)), [['new'], ['new'], ['new']])
  while (asked.length < 3) await new Promise((resolve) => setImmediate(resolve))
  asked[2]?.(listing('newest'))
  assert.equal(await namesOf(late), ['newest'])
  const again = read()
  assert.is(asked.length, 4)
  asked[3]?.(listing())
  assert.equal(await namesOf(again), [])
})

test('a failed reading fails for everyone who shares it, and for nobody after them', async () => {
  const { read, asked, listing } = await heldReader()
  const failing = refusal(read(), 'REGISTRY_UNAVAILABLE')
  const next = read()
  asked[0]?.({ failure: 'TIMEOUT' })
  await failing
  while (asked.length < 2) await new Promise((resolve) => setImmediate(resolve))
  asked[1]?.(listing('back'))
  assert.equal(await namesOf(next), ['back'])
})

test('a long list is parsed in chunks, with a pause after each for everything else', async () => {
  const { read, asked, listing, pauses } = await heldReader()
  const reading = read()
  const names = Array.from({ length: 1000 }, (_, i) => `app-${i}`)
  asked[0]?.(listing(...names))
  assert.equal(await namesOf(reading), names)
  assert.equal(pauses, new Array(10).fill(0))
})

test.run()
