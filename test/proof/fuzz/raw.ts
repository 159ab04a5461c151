/** Bytes on a socket that are not a request, nearly one, or two at once; each connection is read until the API closes it. */
import fc from 'fast-check'
import type { Findings } from '../findings.ts'
import type { FuzzPart } from './bounds.ts'
import { faultsOfLog, faultsOnDisk } from './check-host.ts'
import { faultsOfRefusal, leaksOf } from './judge.ts'
import { startScene } from './scene.ts'
import { headerValue } from './values.ts'
import { exchange, readAnswers, type WireAnswer } from './wire.ts'

const CONNECTIONS = 32
const BATCH = 250
const LOOK_EVERY = 8
const ENOUGH = 12

/** What is sent over one connection. */
interface Conversation {
  /** Each character is a byte. */
  readonly pieces: readonly string[]
  /** The most requests that can be read from it. */
  readonly requests: number
  /** `wait`: every request is framed correctly, and the last one requests that the connection be closed. */
  readonly ending: 'wait' | 'end' | 'reset'
}

const HOST = 'Host: localhost\r\n'
/** If carried out, it would show by its id in an answer, and by its route. */
const HIDDEN = `PUT /proxies/smuggled HTTP/1.1\r\n${HOST}X-Correlation-ID: smuggled\r\nContent-Type: application/json\r\nContent-Length: 76\r\n\r\n{"domain":"smuggled.fuzz.example","upstream_port":9,"require_healthy":false}`
const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`

/** Two parsers would disagree about where the body ends; the hidden request is where only one of them expects a request. */
const SMUGGLING: readonly string[] = [
  `POST /proxies HTTP/1.1\r\n${HOST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  `POST /proxies HTTP/1.1\r\n${HOST}Content-Length: ${HIDDEN.length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  `POST /proxies HTTP/1.1\r\n${HOST}Content-Length: ${HIDDEN.length}\r\nContent-Length: 0\r\n\r\n${HIDDEN}`,
  `POST /proxies HTTP/1.1\r\n${HOST}Content-Length: ${HIDDEN.length}, 0\r\n\r\n${HIDDEN}`,
  `POST /proxies HTTP/1.1\r\n${HOST}Content-Length: +0\r\n\r\n${HIDDEN}`,
  `POST /proxies HTTP/1.1\r\n${HOST}Content-Length: 0x0\r\n\r\n${HIDDEN}`,
  `POST /proxies HTTP/1.1\r\n${HOST}Content-Length: -1\r\n\r\n${HIDDEN}`,
  `POST /proxies HTTP/1.1\r\n${HOST}Content-Length : 0\r\n\r\n${HIDDEN}`,
  `POST /proxies HTTP/1.1\r\n${HOST}Transfer-Encoding: xchunked\r\n\r\n${HIDDEN}`,
  `POST /proxies HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, identity\r\n\r\n${HIDDEN}`,
  `POST /proxies HTTP/1.1\r\n${HOST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  `POST /proxies HTTP/1.1\r\n${HOST}Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  `POST /proxies HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n${HIDDEN}`,
  `POST /proxies HTTP/1.1\r\n${HOST}X: y\n\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  `POST /proxies HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n${HIDDEN}`,
  `POST /proxies HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n-1\r\n${HIDDEN}`,
  `POST /proxies HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n1;a="\n"\r\nx\r\n0\r\n${HIDDEN}`,
  `POST /proxies HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n2\r\nxx${HIDDEN}`,
  `POST /proxies HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${chunk(HIDDEN)}`,
  `PUT /proxies/a HTTP/1.1\r\n${HOST}Content-Type: text/plain\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
  `GET /proxies HTTP/1.1\r\n${HOST}Content-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
  `GET /health HTTP/1.1\r\n${HOST}X: a\r\n ${HIDDEN.replaceAll('\r\n', '\r\n ')}\r\n\r\n`,
  `GET /health HTTP/1.1\r\n${HOST}X: \0\r\n\r\n${HIDDEN}`,
  `GET /health HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n${HIDDEN}`,
  `GET /health HTTP/1.1\r\nHost: a b\r\n\r\n${HIDDEN}`,
  `CONNECT a:80 HTTP/1.1\r\n${HOST}\r\n${HIDDEN}`,
  `GET /health HTTP/1.1\r\n${HOST}Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
  `garbage\r\n\r\n${HIDDEN}`,
]

const NO_REQUESTS: readonly string[] = [
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  '\0'.repeat(2000),
  '\r\n'.repeat(2000),
  'GET\r\n\r\n',
  'GET /\r\n\r\n',
  'GET / HTTP/0.9\r\n\r\n',
  'GET / HTTP/1.0\r\n\r\n',
  'GET / HTTP/3.0\r\nHost: a\r\n\r\n',
  'get / http/1.1\r\nhost: a\r\n\r\n',
  ' GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET  / HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET / HTTP/1.1 \r\nHost: a\r\n\r\n',
  'GET / HTTP/1.1\nHost: a\n\n',
  'GET http://localhost/health HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'GET //evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'GET * HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'TRACE / HTTP/1.1\r\nHost: localhost\r\nCookie: secret\r\n\r\n',
  'CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: localhost\r\n: no name\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n',
  `GET / HTTP/1.1\r\nHost: localhost\r\n${'X: y\r\n'.repeat(2500)}\r\n`,
  `GET / HTTP/1.1\r\nHost: localhost\r\n${'X: y\r\n'.repeat(1900)}\r\n`,
  `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
  `${'X'.repeat(20_000)}`,
]

const GOOD = ['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'PATCH']
const METHODS = [...GOOD, ...GOOD, ...GOOD, ...GOOD, 'TRACE', 'BREW', 'gEt']
const PATHS = [
  '/health',
  '/proxies',
  '/proxies/a',
  '/proxies/a/ssl',
  '/message',
  '/proxy-manager/health',
  '/nope',
  '/../x',
  '//',
  '/%',
]
const BODIES = [
  '',
  '{}',
  '{"domain":',
  '[[[[',
  '{"domain":"a.fuzz.example","upstream_port":9}',
  '\xff\xfe',
  'x'.repeat(70_000),
]

/** A correctly framed request that reaches the API whole, and changes nothing. */
const framed = fc
  .tuple(
    fc.constantFrom(...METHODS),
    fc.constantFrom(...PATHS),
    fc.constantFrom(...BODIES),
    fc.nat(2),
    fc.oneof({ weight: 9, arbitrary: fc.constant('y') }, { weight: 1, arbitrary: headerValue }),
  )
  .map(([method, path, body, kind, value]) => {
    const head = `${method} ${path}?dry_run=true HTTP/1.1\r\n${HOST}X: ${value}\r\nContent-Type: application/json\r\n`
    if (kind === 0) return `${head}\r\n`
    if (kind === 1) return `${head}Content-Length: ${body.length}\r\n\r\n${body}`
    return `${head}Transfer-Encoding: chunked\r\n\r\n${body === '' ? '0\r\n\r\n' : chunk(body)}`
  })

/** Changes some bytes. */
const damaged = fc
  .tuple(
    framed,
    fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(255), fc.nat(2)), {
      minLength: 1,
      maxLength: 4,
    }),
  )
  .map(([text, changes]) =>
    changes.reduce((now, [where, code, kind]) => {
      // Most of what matters is at the beginning.
      const at = Math.floor(where * Math.min(now.length, 200))
      return now.slice(0, at) + (kind === 2 ? '' : String.fromCharCode(code)) + now.slice(at + (kind === 0 ? 1 : 0))
    }, text),
  )

const LAST = `GET /health HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`

const texts: fc.Arbitrary<{ readonly texts: readonly string[]; readonly isFramed: boolean }> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .array(framed, { minLength: 1, maxLength: 12 })
      .map((some) => ({ texts: [...some, LAST], isFramed: true })),
  },
  {
    weight: 9,
    arbitrary: fc
      .oneof(
        fc.array(fc.oneof(framed, damaged), { minLength: 1, maxLength: 4 }),
        fc.constantFrom(...SMUGGLING).map((text) => [text]),
        fc.constantFrom(...NO_REQUESTS).map((text) => [text]),
        fc.uint8Array({ minLength: 1, maxLength: 300 }).map((bytes) => [Buffer.from(bytes).toString('latin1')]),
        fc.tuple(framed, fc.constantFrom(...SMUGGLING, ...NO_REQUESTS)),
      )
      .map((some) => ({ texts: some, isFramed: false })),
  },
)

const conversation: fc.Arbitrary<Conversation> = fc
  .tuple(
    texts,
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.nat(9),
    fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 3 }),
  )
  .map(([{ texts: some, isFramed }, where, kind, cuts]): Conversation => {
    const whole = some.join('')
    // One in five breaks off, and half of these with a reset.
    const text = kind < 2 ? whole.slice(0, Math.ceil(where * whole.length)) : whole
    const at = [...cuts.map((cut) => Math.floor(cut * text.length)), text.length].sort((a, b) => a - b)
    const pieces = at.map((end, i) => text.slice(at[i - 1] ?? 0, end)).filter((piece) => piece !== '')
    return { pieces, requests: some.length, ending: kind === 0 ? 'reset' : isFramed && kind > 1 ? 'wait' : 'end' }
  })

export const raw: FuzzPart = {
  title: 'bytes on a socket: broken, hidden, pipelined, cut off',
  run: async ({ raw: total, seed }, stopped): Promise<Findings> => {
    const scene = await startScene()
    const violations: string[] = []
    const count = { requests: 0, connections: 0, answers: 0, refused: 0 }
    try {
      const { manager, nginx } = scene.host
      const secrets = { texts: [nginx.root, process.cwd()] }
      const hear = async (sent: Conversation, batch: number, i: number) => {
        const pieces = sent.pieces.map((piece) => Buffer.from(piece, 'latin1'))
        const bytes = await exchange(manager.port, pieces, sent.ending)
        count.connections++
        count.requests += sent.requests
        const faults: string[] = []
        try {
          if (typeof bytes === 'string') throw new Error(bytes)
          const { answers, rest } = readAnswers(bytes, isBody)
          count.answers += answers.length
          count.refused += answers.filter(({ status }) => status >= 400).length
          if (rest.length > 0) faults.push(`no answer: ${rest.toString('latin1').slice(0, 200)}`)
          if (answers.length > sent.requests + 1) faults.push(`${answers.length} answers`)
          const isEnded = answers.length === sent.requests || answers.at(-1)?.headers.get('connection') === 'close'
          if (sent.ending === 'wait' && !isEnded) faults.push(`${answers.length} answers to ${sent.requests} requests`)
          for (const answer of answers) faults.push(...faultsIn(answer), ...leaksOf(answer, secrets))
        } catch (error) {
          faults.push(error instanceof Error ? error.message : String(error))
        }
        if (faults.length > 0)
          violations.push(
            `${faults.join('; ')} (batch seed ${batch}, connection ${i}): ${JSON.stringify(sent).slice(0, 2500)}`,
          )
      }
      let logged = 0
      const look = async () => {
        const readRoutes = async () => await (await fetch(`${manager.url}/proxies`)).json()
        violations.push(...(await faultsOnDisk(scene, readRoutes, new Map(), new Map())), ...faultsOfLog(scene, logged))
        logged = manager.log.length
      }
      for (let batch = 0; count.requests < total && violations.length < ENOUGH; batch++) {
        stopped.throwIfAborted()
        const batchSeed = seed * 10_000 + batch
        const waiting = fc.sample(conversation, { numRuns: BATCH, seed: batchSeed }).entries()
        await Promise.all(
          Array.from({ length: CONNECTIONS }, async () => {
            for (const [i, sent] of waiting) await hear(sent, batchSeed, i)
          }),
        )
        if (batch % LOOK_EVERY === 0) await look()
      }
      await look()
      if (manager.errors !== '') violations.push(`on standard error: ${manager.errors.slice(0, 500)}`)
      return {
        figures: [
          { what: 'seed', value: String(seed) },
          { what: 'requests, whole and broken', value: count.requests },
          { what: 'connections', value: count.connections },
          { what: 'answers', value: count.answers },
          { what: 'of these, refusals', value: count.refused },
          { what: 'broken promises', value: violations.length, atMost: 0 },
        ],
        violations,
      }
    } finally {
      await scene.close()
    }
  },
}

/** HEAD is answered with the length of a body that is not sent: the next answer follows, or nothing. */
function isBody(following: Buffer): boolean {
  return following.length > 0 && following.subarray(0, 9).toString() !== 'HTTP/1.1 '
}

function faultsIn({ status, headers, body }: WireAnswer): string[] {
  const id = headers.get('x-correlation-id') ?? ''
  if (id === 'smuggled') return ['a hidden request was answered']
  return status >= 400 && body !== '' ? faultsOfRefusal({ status, headers, body }, id) : []
}
