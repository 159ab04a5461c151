import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readNginx } from '../../lib/nginx/config/parse.ts'
import { printNginx } from '../../lib/nginx/config/print.ts'
import { renderRouteFile } from '../../lib/render/route-file.ts'
import { routeDirectives } from '../../lib/render/server-block.ts'
import type { SharedContext } from '../../lib/render/shared-file.ts'
import { readSharedFile, renderSharedFile, renumberSharedFile } from '../../lib/render/shared-file.ts'
import { dropletOfFileName, isOwnFileName, routeFileName } from '../../lib/route/droplet-name.ts'
import { NOTICE } from '../../lib/route/file-envelope.ts'
import { DEFAULT_OPTIONS, writtenOptions } from '../../lib/route/options.ts'
import { type RouteRecord, recordText } from '../../lib/route/record.ts'
import { readRouteFile } from '../../lib/route/stored-route.ts'
import { context, routeRecord } from '../helpers/samples.ts'

const test = suite('stored-route')

const shared: SharedContext = { generation: 41, catchAllHttp: ['80'], catchAllHttps: [], hasNamedUpstream: false }
const certificate = {
  issuer: 'C=US, O=Let\'s Encrypt, CN="R;3"',
  not_before: '2026-01-01T00:00:00.000Z',
  expiry: '2026-03-01T00:00:00.000Z',
  domains: ['app.example.com'],
  serial: '0a',
  fingerprint_sha256: 'ab'.repeat(32),
}

/** The record as files have it: without options of later versions that have their defaults. */
test('a file begins with a notice, its checksum and its record, followed by its server blocks', () => {
  const record = routeRecord()
  const text = renderRouteFile(record, context)
  const [notice, checksum, json, ...configuration] = text.split('\n')
  assert.is(notice, NOTICE)
  assert.is(json, `# record: ${recordText(record)}`)
  assert.is(configuration.join('\n'), printNginx(routeDirectives(record, context)))
  const signed = text.slice(text.indexOf('# record: '))
  assert.is(checksum, `# sha256: ${createHash('sha256').update(signed).digest('hex')}`)
})

test('the record that is read from a file is the one that was written', () => {
  const upstream = { upstream_addresses: null, resolvers: ['[::1]:53'], upstream_host: 'registry.internal' }
  const records = [
    routeRecord(),
    routeRecord({ certificate }),
    routeRecord(upstream),
    routeRecord({ enable_ssl: false }),
  ]
  for (const record of [...records, routeRecord({ last_health_status: 'unknown', last_health_checked_at: null })]) {
    const text = renderRouteFile(record, context)
    const found = readRouteFile('app', text)
    assert.equal([found?.record, found?.text, found?.drifted], [record, text, false])
    assert.is(renderRouteFile(found?.record ?? routeRecord(), context), text)
  }
})

/** The most that NGINX holds of a file at once (NGX_CONF_BUFFER): a word or a comment, and what ends it. */
const NGINX_BUFFER = 4096

/** A route whose `# record: ` line would have this many bytes. */
function recordOfLength(bytes: number): RouteRecord {
  const lineOf = (created_at: string) => `# record: ${recordText(routeRecord({ created_at }))}`
  return routeRecord({ created_at: 'x'.repeat(bytes - Buffer.byteLength(lineOf(''))) })
}

test('a record is on one line if NGINX can read so long a line, and byte for byte as in earlier releases', () => {
  const longest = recordOfLength(NGINX_BUFFER - 1)
  assert.is(renderRouteFile(longest, context).split('\n')[2], `# record: ${recordText(longest)}`)
  const longer = recordOfLength(NGINX_BUFFER)
  const lines = renderRouteFile(longer, context).split('\n').slice(2)
  assert.is(
    lines.findIndex((line) => !line.startsWith('# record: ')),
    Math.ceil(recordText(longer).length / 1000),
  )
})

test('no word and no comment of the largest routes is too long for NGINX, and all of it is read back', () => {
  const names = Array.from({ length: 99 }, (_, i) =>
    [`n${i + 100}`, ...Array(3).fill('x'.repeat(62)), 'y'.repeat(50), 'com'].join('.'),
  )
  const networks = Array.from({ length: 200 }, (_, i) => `2001:0db8:0000:0000:0000:0000:0000:${i + 1000}/128`)
  // A character of two, of three, and of four bytes (a surrogate pair), at both distances from a line's end.
  const issuers = ['\u00fc', '\u2028', '\u{1f512}'].flatMap((character) =>
    [0, 1].map((n) => 'x'.repeat(n) + character.repeat(2000)),
  )
  for (const issuer of ['CA', ...issuers]) {
    const record = routeRecord({
      options: { ...DEFAULT_OPTIONS, aliases: names, allow: networks },
      certificate: { ...certificate, issuer, domains: ['app.example.com', ...names] },
    })
    const text = renderRouteFile(record, context)
    const tokens = text.split('\n').flatMap((line) => (line.startsWith('#') ? [line] : line.trim().split(' ')))
    const longest = Math.max(...tokens.map((token) => Buffer.byteLength(token)))
    assert.ok(longest < NGINX_BUFFER, String(longest))
    assert.ok(readNginx(text).complete)
    const found = readRouteFile('app', Buffer.from(text).toString())
    assert.equal([found?.record, found?.drifted], [record, false])
  }
})

test('the same record is rendered to the same bytes', () => {
  assert.is(renderRouteFile(routeRecord(), context), renderRouteFile(routeRecord(), context))
})

test('any edited, added or removed character under the checksum shows as drift, or makes the file unreadable', () => {
  const text = renderRouteFile(routeRecord(), context)
  const signedFrom = text.indexOf('# record: ')
  for (let at = signedFrom; at < text.length; at++) {
    const character = text.charAt(at)
    const edits = [character === 'x' ? 'y' : 'x', `${character}x`, '']
    for (const edit of edits) {
      const found = readRouteFile('app', text.slice(0, at) + edit + text.slice(at + 1))
      assert.ok(found === undefined || found.drifted, `${edit} at ${at}`)
      if (at > text.indexOf('\nupstream ')) assert.ok(found, 'an edit of the configuration leaves the record readable')
    }
  }
})

test('a truncated file is never taken for an intact one', () => {
  const text = renderRouteFile(routeRecord(), context)
  for (let length = 0; length < text.length; length++) {
    const found = readRouteFile('app', text.slice(0, length))
    assert.ok(found === undefined || found.drifted, `${length} characters`)
  }
})

test('text that is not a route file of this droplet is not read as one', () => {
  const text = renderRouteFile(routeRecord(), context)
  const texts = ['', '\n', NOTICE, 'server { listen 80; }', text.replace('"version":1', '"version":2')]
  texts.push(
    text.replace('"domain":"app.example.com"', '"domain":"$host"'),
    text.replace(/# record: .*/, '# record: {'),
  )
  texts.push(text.replace(/# record: .*/, '# record: null'), text.replace(/# sha256: .*\n/, ''), text.slice(1))
  for (const other of texts) assert.is(readRouteFile('app', other), undefined, other.slice(0, 200))
  assert.is(readRouteFile('other', text), undefined)
})

test('a file with another notice, as an older release wrote it, is still a route', () => {
  const text = renderRouteFile(routeRecord(), context).replace(NOTICE, '# Managed by Proxy Manager')
  assert.is(readRouteFile('app', text)?.drifted, false)
})

test('a route records its source; a file without one came from a call', () => {
  const synced = routeRecord({ source: 'registry' })
  assert.equal(readRouteFile('app', renderRouteFile(synced, context))?.record, synced)
  const older = renderRouteFile(routeRecord(), context).replace('"source":"api",', '')
  assert.equal(readRouteFile('app', older)?.record, routeRecord())
  assert.is(readRouteFile('app', older.replace('"certificate"', '"source":"x","certificate"')), undefined)
})

test('the revision changes with what a caller can set, and with nothing else', () => {
  const read = (own: Partial<RouteRecord>, host = context) =>
    readRouteFile('app', renderRouteFile(routeRecord(own), host)) ?? { revision: '', digest: '' }
  const { revision, digest } = read({})
  assert.match(revision, /^[0-9a-f]{16}$/)
  for (const own of [
    { domain: 'b.example.com' },
    { upstream_port: 81 },
    { upstream_host: 'b' },
    { enable_ssl: false },
    { options: { ...DEFAULT_OPTIONS, hsts: true } },
  ])
    assert.is.not(read(own).revision, revision)
  const others = [
    read({ last_health_status: 'unknown' }),
    read({ certificate }),
    read({ updated_at: '2027-01-01T00:00:00.000Z' }),
    read({}, { ...context, httpListens: ['81'] }),
  ]
  for (const other of others) {
    assert.is(other.revision, revision)
    assert.is.not(other.digest, digest)
  }
})

test('a file is named after its droplet, and only such names are ours', () => {
  assert.is(routeFileName('a-b_1'), 'fpai-a-b_1.conf')
  assert.is(dropletOfFileName('fpai-a-b_1.conf'), 'a-b_1')
  const foreign = ['default', 'fpai-.conf', 'fpai-A.conf', 'fpai-a', 'fpai-a.conf~', '.fpai-a.conf', 'fpai-a.conf.bak']
  for (const name of [
    ...foreign,
    'xfpai-a.conf',
    'fpai-..conf',
    'fpai-a.b.conf',
    'fpai-default.conf',
    'fpai-a\n.conf',
  ]) {
    assert.is(dropletOfFileName(name), undefined, name)
    assert.not.ok(isOwnFileName(name), name)
  }
  assert.ok(isOwnFileName('fpai-a.conf'))
  assert.ok(isOwnFileName('000-proxy-manager.conf'))
})

test('the shared file records its generation, and whether it is intact', () => {
  const text = renderSharedFile(shared, context)
  assert.ok(text.startsWith(`${NOTICE}\n# sha256: `))
  assert.equal(readSharedFile(text), { generation: 41, intact: true })
  assert.equal(readSharedFile(`${text} `), { generation: 41, intact: false })
  for (const other of ['', NOTICE, 'server { }', text.replace('"generation":41', '"generation":4.5')])
    assert.is(readSharedFile(other), undefined)
  assert.is(readSharedFile(renderRouteFile(routeRecord(), context)), undefined)
  assert.is(readRouteFile('app', text), undefined)
})

test('a renumbered shared file differs only in its generation, and is intact', () => {
  const text = renderSharedFile(shared, context)
  assert.is(renumberSharedFile(text, 57), renderSharedFile({ ...shared, generation: 57 }, context))
  assert.is(renumberSharedFile(renumberSharedFile(text, 57), 41), text)
  assert.is(renumberSharedFile('no shared file', 57), 'no shared file')
  const edited = text.replace('websocket upgrade', 'websocket close')
  const renumbered = renumberSharedFile(edited, 57)
  assert.equal(readSharedFile(renumbered), { generation: 57, intact: true })
  assert.match(renumbered, 'websocket close')
  assert.match(renumbered, 'return 200 57;')
})

test('no text in a record breaks out of its line: NGINX reads the same directives whatever it contains', () => {
  const nasty = fc
    .array(fc.constantFrom(...';{}"\'\\#$', '\n', '\r', '\t', '\0', '\u2028', '\ud800', 'a', '*/'), { maxLength: 12 })
    .map((characters) => characters.join(''))
  const plain = readNginx(renderRouteFile(routeRecord(), context))
  const shapeOf = (text: string) => JSON.stringify(readNginx(text), ['directives', 'complete', 'name', 'args', 'block'])
  const expected = shapeOf(renderRouteFile(routeRecord(), context))
  assert.ok(plain.complete)
  fc.assert(
    fc.property(nasty, nasty, (one, two) => {
      const record = routeRecord({
        upstream_host: one,
        created_at: two,
        last_health_checked_at: one,
        resolvers: [two, one],
      })
      const text = renderRouteFile(record, context)
      assert.is(shapeOf(text), expected, JSON.stringify([one, two]))
      assert.equal(readRouteFile('app', text)?.record, record)
    }),
    { numRuns: 2_000 },
  )
})

test('the revision of a route without later options is that of the version that wrote it, and each of them changes it', () => {
  const record = routeRecord()
  const revisionWith = (options: RouteRecord['options']) =>
    readRouteFile('app', renderRouteFile({ ...record, options }, context))?.revision
  const { header_buffer_size, upstream_keepalive_s, ...known } = writtenOptions(DEFAULT_OPTIONS)
  const { droplet_name, domain, upstream_host, upstream_port, enable_ssl } = record
  const text = JSON.stringify([droplet_name, domain, upstream_host, upstream_port, enable_ssl, known])
  const revision = createHash('sha256').update(text).digest('hex').slice(0, 16)
  assert.is(revisionWith(DEFAULT_OPTIONS), revision)
  const others = [
    { header_buffer_size: '64k' },
    { upstream_keepalive_s: 0 },
    { balance: 'least_conn' },
    { failover: 'connect_only' },
    { failover_on_5xx: true },
    { request_headers: { 'X-Tier': null } },
    { upstream_host_header: 'upstream' },
    { upstream_tls_verify: true },
    { strip_prefix: true },
  ] as const
  const changed = others.map((one) => revisionWith({ ...DEFAULT_OPTIONS, ...one }))
  assert.is(new Set([revision, ...changed]).size, 1 + others.length)
})

test('the record of a route without several upstreams and later options has none of their names', () => {
  const [, , json = ''] = renderRouteFile(routeRecord(), context).split('\n')
  assert.not.match(
    json,
    /upstreams|balance|failover|request_headers|upstream_host_header|upstream_tls_verify|strip_prefix|"path"/,
  )
})

test('the revision of several upstreams changes with each of their fields, and not with their addresses', () => {
  const entry = { host: 'b', port: 2, backup: false, addresses: ['10.0.0.2'] }
  const revisionOf = (...others: NonNullable<RouteRecord['upstreams']>) => {
    const upstreams = [{ host: 'localhost', port: 8001, backup: false, addresses: ['127.0.0.1'] }, ...others]
    return readRouteFile('app', renderRouteFile(routeRecord({ upstreams }), context))?.revision
  }
  const revisions = [
    revisionOf(entry),
    revisionOf({ ...entry, host: 'c' }),
    revisionOf({ ...entry, port: 3 }),
    revisionOf({ ...entry, backup: true }),
    revisionOf(entry, { ...entry, port: 4 }),
  ]
  assert.is(new Set(revisions).size, revisions.length)
  assert.is(revisionOf({ ...entry, addresses: ['10.0.0.3'] }), revisions[0])
})

test.run()
