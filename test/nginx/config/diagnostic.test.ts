import { readdirSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { findUnacceptable, hostRemedy, parseDiagnostics, publicOutput } from '../../../lib/nginx/config/diagnostic.ts'
import { fixture } from '../../helpers/memory-tree.ts'

const test = suite('diagnostic')

const captured = (name: string) => fixture(`nginx-output/${name}.txt`)
const everyOutput = readdirSync(new URL('../../../fixtures/nginx-output/', import.meta.url)).map((file) =>
  captured(file.replace(/\.txt$/, '')),
)

test('each kind of refusal is read with its level, file, line and message', () => {
  const loading =
    'cannot load certificate "fullchain.pem": BIO_new_file() failed (SSL: error:80000002:system library::No such file or directory:calling fopen(fullchain.pem, r) error:10000080:BIO routines::no such file)'
  const table: readonly (readonly [string, string, string | null, number | null, string])[] = [
    ['unknown-directive', 'emerg', 'fpai-app.conf', 4, 'unknown directive "proxy_passs"'],
    ['unknown-directive-log-in-file', 'emerg', 'fpai-app.conf', 4, 'unknown directive "proxy_passs"'],
    ['duplicate-default-server', 'emerg', 'b.conf', 2, 'a duplicate default server for 127.0.0.1:20801'],
    [
      'conflicting-server-name',
      'warn',
      null,
      null,
      'conflicting server name "app.example.com" on 127.0.0.1:20801, ignored',
    ],
    [
      'conflicting-server-name-log-in-file',
      'warn',
      null,
      null,
      'conflicting server name "app.example.com" on 127.0.0.1:20801, ignored',
    ],
    [
      'hash-bucket-too-small',
      'emerg',
      null,
      null,
      'could not build server_names_hash, you should increase server_names_hash_bucket_size: 64',
    ],
    ['host-not-found-in-upstream', 'emerg', 'a.conf', 4, 'host not found in upstream "no-such-droplet.invalid"'],
    ['missing-certificate', 'emerg', null, null, loading],
    ['missing-include', 'emerg', 'a.conf', 3, 'open() "missing.conf" failed (2: No such file or directory)'],
    ['unexpected-end-of-file', 'emerg', 'a.conf', 4, 'unexpected end of file, expecting "}"'],
    [
      'key-values-mismatch',
      'emerg',
      null,
      null,
      'SSL_CTX_use_PrivateKey("k2.pem") failed (SSL: error:05800074:x509 certificate routines::key values mismatch)',
    ],
    ['bind-unix-socket', 'emerg', null, null, 'bind() to unix:app.sock failed (2: No such file or directory)'],
  ]
  for (const [name, level, file, line, message] of table)
    assert.equal(parseDiagnostics(captured(name)), [{ level, file, line, message }], name)
})

test('an accepted configuration has no diagnostics', () => {
  assert.equal(parseDiagnostics(captured('accepted')), [])
  assert.equal(parseDiagnostics(''), [])
  assert.equal(parseDiagnostics('Killed\nnginx version: nginx/1.22.1\n[emerg] x\n'), [])
})

test('lines of an error log are read, such as a port in use and a missing certificate', () => {
  const busy = { level: 'emerg', file: null, line: null }
  const tried = { ...busy, message: 'bind() to 127.0.0.1:20803 failed (98: Address already in use)' }
  assert.equal(parseDiagnostics(captured('reload-port-in-use.log')), [
    ...[tried, tried, tried, tried, tried],
    { ...busy, message: 'still could not bind()' },
  ])
  const [gone] = parseDiagnostics(captured('reload-missing-certificate.log'))
  assert.match(gone?.message ?? '', /^cannot load certificate "c\.pem": /)
})

test('the connection number of a log line is left out', () => {
  const line = '2026/01/02 03:04:05 [error] 12#13: *678 upstream timed out in /etc/nginx/x.conf:9'
  assert.equal(parseDiagnostics(line), [{ level: 'error', file: 'x.conf', line: 9, message: 'upstream timed out' }])
})

test('no directory of the host is disclosed by any message of NGINX', () => {
  for (const output of everyOutput) {
    for (const text of [publicOutput(output), JSON.stringify(parseDiagnostics(output))]) {
      assert.not.match(text, /\/(etc|nginx|no|certificates|sites-enabled)\b/)
    }
  }
})

test('paths are cut to their last part; what only looks like a path stays', () => {
  const table: readonly (readonly [string, string])[] = [
    ['open() "/etc/nginx/a b" x', 'open() "a b" x'],
    ['in /etc/nginx/sites-enabled/fpai-a.conf:12', 'in fpai-a.conf:12'],
    ['(/var/lib/x/y.pem, r)', '(y.pem, r)'],
    ['bind() to unix:/run/php/a.sock failed', 'bind() to unix:a.sock failed'],
    ['invalid URL "http://a.example/b/c"', 'invalid URL "http://a.example/b/c"'],
    ['invalid network "10.0.0.0/8"', 'invalid network "10.0.0.0/8"'],
    ['unknown directive "a/b/c"', 'unknown directive "a/b/c"'],
    ['nginx/1.22.1', 'nginx/1.22.1'],
    [' \n/etc/nginx/x\n', 'x'],
  ]
  for (const [message, expected] of table) assert.is(publicOutput(message), expected)
})

test('a duplicate of a name of ours is unacceptable, although NGINX only warns', () => {
  const isOurs = (domain: string) => domain === 'app.example.com'
  for (const name of ['conflicting-server-name', 'conflicting-server-name-log-in-file']) {
    const diagnostics = parseDiagnostics(captured(name))
    assert.is(findUnacceptable(diagnostics, isOurs), diagnostics[0], name)
    assert.is(
      findUnacceptable(diagnostics, () => false),
      undefined,
      name,
    )
  }
})

test("a warning about the host's own names, or about nothing of ours, blocks no change", () => {
  for (const name of ['accepted', 'hash-not-optimal'])
    assert.is(
      findUnacceptable(parseDiagnostics(captured(name)), () => true),
      undefined,
      name,
    )
})

test('the remedy names the directive of a hash that is too small or set too late, and for an unknown directive of ours another NGINX', () => {
  const remedy = (message: string, file: string | null = null) =>
    hostRemedy([{ level: 'emerg', file, line: null, message }], (name) => name.startsWith('fpai-'))
  const [hash] = parseDiagnostics(captured('hash-bucket-too-small'))
  assert.is(
    remedy(hash?.message ?? ''),
    'Raise server_names_hash_bucket_size in the http block of NGINX\'s configuration, such as "server_names_hash_bucket_size 128;" (it is 64)',
  )
  assert.match(
    remedy('could not build map_hash, you should increase map_hash_bucket_size: 64') ?? '',
    /^Raise map_hash_bucket_size /,
  )
  assert.match(
    remedy('"map_hash_bucket_size" directive is duplicate', 'shop.conf') ?? '',
    /^Move map_hash_bucket_size from shop\.conf to the http block of nginx\.conf, in front of /,
  )
  assert.is(remedy('"server_tokens" directive is duplicate', 'shop.conf'), undefined)
  assert.match(remedy('unknown directive "geo"', 'fpai-app.conf') ?? '', /unknown directive "geo"/)
  assert.is(remedy('unknown directive "geo"', 'shop.conf'), undefined)
  assert.is(remedy('host not found in upstream "app"', 'fpai-app.conf'), undefined)
})

test.run()
