import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ProxyManagerError } from '../../lib/errors.ts'
import { BODY_LIMIT_BYTES, DEPTH_LIMIT, readJsonBody } from '../../lib/http/read-body.ts'

const test = suite('read-body')

const JSON_TYPE = { 'content-type': 'application/json' }

function post(body: BodyInit | null, headers: Readonly<Record<string, string>> = JSON_TYPE): Request {
  return new Request('http://localhost/proxies', { method: 'POST', body, headers: { ...headers } })
}

/** A body that arrives in chunks, without a length; `read` counts what was read of it. */
function streamed(pieces: Iterable<Uint8Array>): { readonly request: Request; readonly taken: () => number } {
  const iterator = pieces[Symbol.iterator]()
  let taken = 0
  const body = new ReadableStream<Uint8Array>(
    {
      pull: (controller) => {
        const next = iterator.next()
        if (next.done === true) return controller.close()
        taken += next.value.byteLength
        controller.enqueue(next.value)
      },
    },
    { highWaterMark: 0 },
  )
  const init = { method: 'POST', body, headers: JSON_TYPE, duplex: 'half' }
  return { request: new Request('http://localhost/proxies', init), taken: () => taken }
}

async function refusal(request: Request): Promise<ProxyManagerError> {
  try {
    await readJsonBody(request)
  } catch (error) {
    if (error instanceof ProxyManagerError) return error
    throw error
  }
  throw new Error('the body was taken')
}

async function issuesOf(body: BodyInit): Promise<unknown> {
  const error = await refusal(post(body))
  assert.is(error.code, 'INVALID_REQUEST')
  return error.details.issues
}

test('a JSON body is parsed, whatever its value', async () => {
  for (const value of [{ a: [1, { b: 'ü\u2028' }] }, [], null, 'x', 0, true])
    assert.equal(await readJsonBody(post(JSON.stringify(value))), value)
  assert.equal(await readJsonBody(post(' \n{ "a" : 1 }\t')), { a: 1 })
})

test('a missing body is missing, whatever content type it has', async () => {
  assert.is(await readJsonBody(post(null, {})), undefined)
  assert.is(await readJsonBody(post('', { 'content-type': 'text/plain' })), undefined)
  assert.is(await readJsonBody(new Request('http://localhost/', { method: 'DELETE' })), undefined)
})

test('a body in chunks is joined, even characters that are split between two', async () => {
  const bytes = Buffer.from('{"a":"ü€"}')
  const { request } = streamed([...bytes].map((byte) => Uint8Array.of(byte)))
  assert.equal(await readJsonBody(request), { a: 'ü€' })
})

test('the limit is exactly 64 KiB', async () => {
  const ofSize = (size: number) => `"${'x'.repeat(size - 2)}"`
  assert.is(BODY_LIMIT_BYTES, 65_536)
  assert.is(String(await readJsonBody(post(ofSize(BODY_LIMIT_BYTES)))).length, BODY_LIMIT_BYTES - 2)
  const error = await refusal(post(ofSize(BODY_LIMIT_BYTES + 1)))
  assert.is(error.code, 'PAYLOAD_TOO_LARGE')
  assert.equal(error.headers, { connection: 'close' })
  const inBytes = await refusal(post(`"${'ü'.repeat(BODY_LIMIT_BYTES / 2)}"`))
  assert.is(inBytes.code, 'PAYLOAD_TOO_LARGE')
})

test('a declared length over the limit is rejected before anything is read', async () => {
  const request = post('{}', { ...JSON_TYPE, 'content-length': String(BODY_LIMIT_BYTES + 1) })
  assert.is((await refusal(request)).code, 'PAYLOAD_TOO_LARGE')
  assert.is(request.bodyUsed, false)
})

test('an endless body is rejected as soon as it exceeds the limit, and not read further', async () => {
  const endless = function* () {
    for (;;) yield new Uint8Array(10_000)
  }
  const { request, taken } = streamed(endless())
  assert.is((await refusal(request)).code, 'PAYLOAD_TOO_LARGE')
  assert.is(taken(), 70_000)
})

test("a body that ends prematurely is the caller's fault, and closes the connection", async () => {
  const breaking = function* () {
    yield Buffer.from('{"a":')
    throw new Error('aborted')
  }
  const error = await refusal(streamed(breaking()).request)
  assert.is(error.code, 'INVALID_REQUEST')
  assert.equal(error.details.issues, [{ path: '', message: 'the request body ended prematurely' }])
  assert.equal(error.headers, { connection: 'close' })
})

test('only application/json is accepted, in any case and with parameters', async () => {
  for (const type of ['application/json', 'Application/JSON', 'application/json; charset=utf-8', 'application/json ;x'])
    assert.equal(await readJsonBody(post('{}', { 'content-type': type })), {}, type)
  const wrong = [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data',
    'application/jsonp',
    'text/json',
  ]
  for (const type of [...wrong, 'application/json-patch+json', 'x application/json', ''])
    assert.is((await refusal(post('{}', { 'content-type': type }))).code, 'UNSUPPORTED_MEDIA_TYPE', type)
  assert.is((await refusal(post(Buffer.from('{}'), {}))).code, 'UNSUPPORTED_MEDIA_TYPE', 'none')
})

test('a compressed body is rejected, so that a small one cannot become a large one', async () => {
  for (const encoding of ['gzip', 'br', 'deflate', 'gzip, identity'])
    assert.is(
      (await refusal(post('{}', { ...JSON_TYPE, 'content-encoding': encoding }))).code,
      'UNSUPPORTED_MEDIA_TYPE',
      encoding,
    )
  assert.equal(await readJsonBody(post('{}', { ...JSON_TYPE, 'content-encoding': 'identity' })), {})
})

test('a body that is not JSON is rejected, and the error has none of its text', async () => {
  for (const body of ['{', '{"secret":}', "{'a':1}", '{"a":1,}', 'NaN', '{}{}', '// x\n{}', '\0', 'secret'])
    assert.equal(await issuesOf(body), [{ path: '', message: 'the body is not JSON' }], body)
})

test('a body that is not UTF-8 is rejected', async () => {
  const message = 'the body is not UTF-8'
  for (const bytes of [
    [0x22, 0xff, 0x22],
    [0x22, 0xc0, 0xaf, 0x22],
    [0x22, 0xed, 0xa0, 0x80, 0x22],
    [0xff, 0xfe, 0x7b, 0],
  ])
    assert.equal(await issuesOf(Uint8Array.from(bytes)), [{ path: '', message }], String(bytes))
})

test('a leading byte order mark is ignored', async () => {
  assert.equal(await readJsonBody(post('\ufeff{"a":1}')), { a: 1 })
})

test('a duplicate key in an object is rejected, however it is escaped', async () => {
  const bodies = [
    '{"a":1,"a":2}',
    '{"a":1,"b":{},"a":1}',
    '{"a":1,"\\u0061":2}',
    '{"\\u0061":1,"a" \n:2}',
    '{"x":[{"y":{"a":1,"a":2}}]}',
    '{"b":{"a":1},"a":[],"a":{}}',
    '{"b":"}","a":1,"a":2}',
    '{"b":"\\"","a":1,"a":2}',
    '{"b":"\\\\","a":1,"a":2}',
  ]
  for (const body of bodies)
    assert.equal(await issuesOf(body), [{ path: 'a', message: 'the body has the same key twice' }], body)
  assert.equal(await issuesOf('{"":1,"":2}'), [{ path: '', message: 'the body has the same key twice' }])
  assert.equal(await issuesOf('{"a\\"":1,"a\\u0022":2}'), [{ path: 'a"', message: 'the body has the same key twice' }])
})

test('the same key in different objects, or as a value, is not a duplicate', async () => {
  for (const body of [
    '{"a":{"a":{"a":1}}}',
    '[{"a":1},{"a":1}]',
    '{"a":"a","b":"a"}',
    '{"a":["a","a"],"A":1}',
    '{"a":"\\",\\"a\\":1"}',
    '{"x":{"a":1},"a":1}',
  ])
    assert.equal(await readJsonBody(post(body)), JSON.parse(body), body)
})

test('a body nested to the limit is read, and any deeper one is rejected', async () => {
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
  assert.ok(Array.isArray(await readJsonBody(post(nested(DEPTH_LIMIT)))))
  assert.equal(await readJsonBody(post(`["${nested(100)}"]`)), [nested(100)])
  const refused = [{ path: '', message: `the body is nested deeper than ${DEPTH_LIMIT} levels` }]
  for (const depth of [DEPTH_LIMIT + 1, 5000, BODY_LIMIT_BYTES / 2]) {
    assert.equal(await issuesOf(nested(depth)), refused, String(depth))
    const object = `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
    if (object.length <= BODY_LIMIT_BYTES) assert.equal(await issuesOf(object), refused, String(depth))
  }
  assert.equal(await issuesOf('['.repeat(BODY_LIMIT_BYTES)), [{ path: '', message: 'the body is not JSON' }])
})

test('a key that would be left out of a record is refused, at any depth', async () => {
  for (const key of ['__proto__', 'constructor', 'prototype'])
    assert.equal(await issuesOf(`{"options":{"request_headers":{"${key}":"x"}}}`), [
      { path: key, message: 'no key has this name' },
    ])
})

test.run()
