import { gzipSync } from 'node:zlib'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import getPageAsset from '../../functions/get-page-asset.ts'
import { requestTo } from './wire.ts'

const test = suite('GET /ui/assets/{name}')

const deps = await fakeDeps()
const { page, assets } = deps.page?.() ?? { page: '', assets: new Map() }

const get = async (name: string) => {
  const response = await getPageAsset(requestTo(`/ui/assets/${name}`), deps)
  return { status: response.status, headers: response.headers, text: await response.text() }
}

test('what the page names, and what its scripts import, is there, and immutable', async () => {
  const named = (text: string) =>
    [...text.matchAll(/(?:assets|from '\.)\/([\w-]+\.(?:js|css))/g)].map(([, name = '']) => name)
  const seen = new Set<string>()
  const queue = named(page)
  assert.ok(queue.length >= 3)
  for (const name of queue) {
    if (seen.has(name)) continue
    seen.add(name)
    const { status, headers, text } = await get(name)
    assert.is(status, 200, name)
    assert.is(headers.get('cache-control'), 'public, max-age=31536000, immutable')
    assert.match(headers.get('content-type') ?? '', name.endsWith('.css') ? /^text\/css/ : /^text\/javascript/)
    queue.push(...named(text))
  }
  assert.equal([...seen].sort(), [...assets.keys()].sort())
})

test('the page and all that it loads are at most 40 kB, compressed', () => {
  const sizes = [page, ...[...assets.values()].map(({ text }) => text)].map((text) => gzipSync(text).length)
  assert.ok(sizes.reduce((sum, size) => sum + size, 0) <= 40_000, sizes.join(' + '))
})

test('any other name is not found, whatever file it may lead to', async () => {
  for (const name of ['main.js', 'main.ts', '..%2f..%2fpackage.json', 'page.css'])
    assert.is((await get(name)).status, 404, name)
})

test.run()
