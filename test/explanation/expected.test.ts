import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readUrl } from '../../lib/explanation/asked-url.ts'
import { chooseLocation } from '../../lib/explanation/choose-location.ts'
import { differenceOf, expectedOf } from '../../lib/explanation/expected.ts'
import { blocksIn } from './configuration.ts'

const test = suite('what NGINX has to answer')

function expected(inside: string, text = 'http://a.test:81/x?y', http = '') {
  const [url, [block]] = [readUrl(text), blocksIn(`${http} server { ${inside} }`)]
  assert.ok(!('fault' in url) && block)
  return expectedOf(block, chooseLocation(block.directives, url.path).chosen, url)
}

for (const [inside, answer] of Object.entries({
  'return 444;': { kind: 'closed' },
  'location / { return 444; }': { kind: 'closed' },
  'return 301 https://$host$request_uri;': { kind: 'answer', status: 301, location: 'https://a.test/x?y' },
  'return https://b.test/;': { kind: 'answer', status: 302, location: 'https://b.test/' },
  'server_name s.test; return 308 $scheme://$server_name/;': {
    kind: 'answer',
    status: 308,
    location: 'http://s.test/',
  },
  'return 301 https://$http_host/;': { kind: 'answer', status: 301, location: 'https://a.test:81/' },
  'return 301 https://$cookie_x/;': { kind: 'answer', status: 301 },
  'return 301 /y;': { kind: 'answer', status: 301 },
  'return 503;': { kind: 'answer', status: 503 },
  'return 503; error_page 503 /down;': { kind: 'answer' },
  'location / { proxy_pass http://b; }': { kind: 'answer' },
  'location /x/ { proxy_pass http://b; }': { kind: 'answer', status: 301 },
  'if ($host = a) { return 301 https://b/; } return 404;': undefined,
  'location / { rewrite ^ /y; return 404; }': undefined,
  'return 404; location / { if ($a) { return 444; } }': { kind: 'answer', status: 404 },
})) {
  test(`${inside} is ${JSON.stringify(answer)}`, () => {
    assert.equal(expected(inside), answer)
  })
}

test('a rejected handshake comes before everything else, over HTTPS only', () => {
  assert.equal(expected('ssl_reject_handshake on; return 404;', 'https://a.test/'), { kind: 'rejected' })
  assert.equal(expected('ssl_reject_handshake on; return 404;'), { kind: 'answer', status: 404 })
})

const SEEN = { status: 200, location: null, certificate_fingerprint: null, failure: null }
const FAILED = { ...SEEN, status: null }
const [ONE, OTHER] = ['1'.repeat(64), '2'.repeat(64)]
const SECURE = { ...SEEN, certificate_fingerprint: ONE }

for (const [title, difference, ...given] of [
  ['an answer', null, { kind: 'answer' }, undefined, SEEN],
  ['another status', 'expected 404, and got 200.', { kind: 'answer', status: 404 }, undefined, SEEN],
  [
    'another redirect',
    'expected a redirect to https://a/, and got one to https://b/.',
    { kind: 'answer', status: 301, location: 'https://a/' },
    undefined,
    { ...SEEN, status: 301, location: 'https://b/' },
  ],
  [
    'no answer',
    'expected an answer, and the connection was closed without an answer (ECONNRESET).',
    { kind: 'answer' },
    undefined,
    { ...FAILED, failure: 'ECONNRESET' },
  ],
  ['a closed connection', null, { kind: 'closed' }, undefined, { ...FAILED, failure: 'ECONNRESET' }],
  [
    'an answer of what is closed',
    'expected that the connection is closed without an answer, and got 200.',
    { kind: 'closed' },
    undefined,
    SEEN,
  ],
  ['a rejected handshake', null, { kind: 'rejected' }, [], { ...FAILED, failure: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' }],
  [
    'a handshake of what is rejected',
    'expected that the TLS handshake is rejected, and it was completed.',
    { kind: 'rejected' },
    [],
    SECURE,
  ],
  [
    'a stopped NGINX',
    'expected that NGINX accepts the connection, and the connection was refused: NGINX is not running, or does not listen there.',
    { kind: 'closed' },
    undefined,
    { ...FAILED, failure: 'ECONNREFUSED' },
  ],
  ['one of its certificates', null, { kind: 'answer' }, [OTHER, ONE], SECURE],
  ['certificates that cannot be read', null, { kind: 'answer' }, undefined, SECURE],
  [
    'another certificate, whatever the answer',
    'expected the certificate 2222222222222222…, and got 1111111111111111….',
    undefined,
    [OTHER],
    SECURE,
  ],
] as const) {
  test(`${title}: ${difference ?? 'no difference'}`, () => {
    const [wanted, fingerprints, seen] = given
    assert.is(differenceOf(wanted, fingerprints, seen), difference)
  })
}

test.run()
