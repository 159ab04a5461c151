import { writeFileSync } from 'node:fs'
import { Agent, type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../../fixtures/free-port.ts'
import { createNginx } from '../../fixtures/nginx-instance.ts'
import { readUrl } from '../../lib/explanation/asked-url.ts'
import { chooseLocation } from '../../lib/explanation/choose-location.ts'
import { chooseServer, socketsOf } from '../../lib/explanation/choose-server.ts'
import { blocksIn } from '../explanation/configuration.ts'

const test = suite('the choice of a server block and a location, as this NGINX makes it')

const SEED = Number(process.env.SERVER_CHOICE_SEED ?? 1)
const SETS = 30

const sample = <T>(values: fc.Arbitrary<T>): T[] => fc.sample(values, { seed: SEED, numRuns: SETS })

const labels = (minLength: number, maxLength: number) =>
  fc.array(fc.constantFrom('a', 'b', 'www', 'x-1'), { minLength, maxLength }).map((parts) => parts.join('.'))
const serverName = fc.oneof(
  { weight: 3, arbitrary: labels(1, 3) },
  labels(1, 3).map((name) => `*.${name}`),
  labels(1, 3).map((name) => `.${name}`),
  labels(1, 2).map((name) => `${name}.*`),
  fc.constantFrom(
    '"~^.{1,9}a$"',
    '~^a',
    '~b$',
    '~^(?<sub>.+)\\.b$',
    '~^(?P<sub>[^.]+)\\.a\\.',
    '~^WWW\\.',
    '~^\\w+$',
    '~x-\\d',
    '_',
    '""',
  ),
)
const names = fc.array(fc.array(serverName, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 6 })
const hosts = fc.uniqueArray(labels(1, 4), { minLength: 12, maxLength: 12 })

const segments = (minLength: number) =>
  fc.array(fc.constantFrom('a', 'b', 'api', 'x.php'), { minLength, maxLength: 3 }).map((parts) => `/${parts.join('/')}`)
const prefix = fc.tuple(segments(0), fc.constantFrom('', '/')).map(([path, end]) => (path === '/' ? path : path + end))
const location = fc.oneof(
  prefix.map((path) => `= ${path}`),
  { weight: 3, arbitrary: prefix },
  prefix.map((path) => `^~ ${path}`),
  fc.constantFrom('~ \\.php$', '~* ^/A', '~ ^/b/', '~ /api/.*x', '~* PHP'),
)
const byPath = (one: string) => one.replace(/^\^~ /, '')
const locations = fc.uniqueArray(fc.tuple(location, fc.boolean()), { maxLength: 8, selector: ([one]) => byPath(one) })
const path = fc.oneof(
  prefix,
  fc.constantFrom(
    '/%61/b',
    '/a//b',
    '/a/../b',
    '/a/./api/',
    '/a%2Fb',
    '/api/%2e%2e/b/',
    '/APIx',
    '/a/b?c=/api',
    '/b/..',
  ),
)

/** Serves these blocks; the header `x-choice` of an answer is the number of what was chosen. */
async function withNginx(text: string, check: () => Promise<void>): Promise<void> {
  const nginx = await createNginx()
  try {
    writeFileSync(join(nginx.root, 'conf.d/sets.conf'), text)
    await nginx.start()
    await check()
  } finally {
    await nginx.remove()
  }
}

const agent = new Agent({ keepAlive: true })

function answer(port: number, host: string, target: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path: target, headers: { host }, agent }, (response) => {
      response.resume()
      resolve(response)
    })
    asked.on('error', reject).end()
  })
}

test('the same block is chosen for generated names and hosts', async () => {
  const sets = await Promise.all(
    sample(fc.tuple(names, hosts, fc.option(fc.nat()))).map(async (set) => ({ set, port: await freePort() })),
  )
  const texts = sets.map(({ set: [blocks, , chosen], port }) =>
    blocks.map((own, i) => {
      const isDefault = chosen !== null && chosen % blocks.length === i
      return `server { listen 127.0.0.1:${port}${isDefault ? ' default_server' : ''}; server_name ${own.join(' ')}; add_header x-choice ${i}; return 204; }`
    }),
  )
  const text = texts.flat().join('\n')
  await withNginx(text, async () => {
    const blocks = blocksIn(text)
    for (const {
      set: [, asked],
      port,
    } of sets) {
      const [socket] = socketsOf(blocks, port)
      assert.ok(socket)
      for (const host of asked) {
        const seen = await answer(port, host, '/')
        const choice = chooseServer(socket, host)
        assert.equal(choice.untried, [])
        assert.is(
          String(socket.blocks.indexOf(choice.block)),
          seen.headers['x-choice'],
          JSON.stringify([host, socket.blocks.map((block) => block.names)]),
        )
      }
    }
  })
})

test('the same location is chosen for generated locations and paths', async () => {
  const sets = await Promise.all(
    sample(fc.tuple(locations, fc.array(path, { minLength: 12, maxLength: 12 }))).map(async (set) => ({
      set,
      port: await freePort(),
    })),
  )
  const texts = sets.map(({ set: [own], port }) => {
    const inside = own.map(([one, isProxied], i) => {
      const passes = isProxied && !one.startsWith('~') ? 'proxy_pass http://127.0.0.1:1;' : 'return 204;'
      return `location ${one} { add_header x-choice ${i} always; ${passes} }`
    })
    return `server { listen 127.0.0.1:${port}; ${inside.join(' ')} }`
  })
  const text = texts.join('\n')
  await withNginx(text, async () => {
    const blocks = blocksIn(text)
    for (const {
      set: [own, asked],
      port,
    } of sets) {
      const directives = blocks.find(({ listens }) => listens[0]?.port === port)?.directives ?? []
      for (const target of asked) {
        const url = readUrl(`http://a${target}`)
        assert.ok(!('fault' in url))
        const seen = await answer(port, 'a', target)
        const { chosen } = chooseLocation(directives, url.path)
        const at = directives.filter(({ name }) => name === 'location')
        const number = chosen && String(at.indexOf(chosen.at))
        assert.equal(
          [number, chosen?.isSlashAdded ?? false],
          [seen.headers['x-choice'], seen.statusCode === 301],
          JSON.stringify([target, own]),
        )
      }
    }
  })
})

test.run()
