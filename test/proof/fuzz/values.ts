/** Malicious values: for NGINX's syntax, paths, terminals, JavaScript's objects, and length checks. */
import fc from 'fast-check'

const HARMFUL = [
  'a.test;#',
  'a.test }',
  'a.test\nserver{}',
  'a.test\r\nx: y',
  '"; } server { listen 1; #',
  "' ; return 200 hi; '",
  '$host',
  `${'{document_root}'}`,
  '~^.*$',
  '*.example.com',
  '.example.com',
  '_',
  '#',
  '\\',
  '\\"',
  '{',
  '}',
  '{}',
  ';',
  '{{7*7}}',
  '`id`',
  '$(id)',
  '| id',
  '-rf',
  '--config=/etc/passwd',
  '../../../../etc/passwd',
  '..\\..\\x',
  '/etc/nginx/nginx.conf',
  'file:///etc/passwd',
  'unix:/var/run/docker.sock',
  '%00',
  '%2e%2e%2f',
  '%c0%af',
  '\0',
  'a\0b',
  '\t',
  '\u0007\u001b[31m',
  '\u2028',
  '\u202e',
  '\ufeff',
  '\ud800',
  '\udfff\ud800',
  'ＡＢＣ',
  'a。b.com',
  'ⓔxample.com',
  'K.example',
  'ı.example',
  'xn--a.example',
  'xn--.example',
  'bücher.example',
  '日本語.example',
  '🦊.example',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '127.1',
  '0x7f000001',
  '2130706433',
  '0177.0.0.1',
  '169.254.169.254',
  '::ffff:169.254.169.254',
  '64:ff9b::a9fe:a9fe',
  '0.0.0.0',
  '[::]',
  '::1%lo',
  'user@127.0.0.1',
  '127.0.0.1:80',
  'localhost.',
  'LOCALHOST',
  'http://127.0.0.1:1/',
  'http://[::1]:65536',
  'javascript:alert(1)',
  'https://127.0.0.1:99999',
  'true',
  'null',
  '0',
  '',
  ' ',
  'x'.repeat(64),
  'x'.repeat(255),
  'x'.repeat(5000),
  `${'a.'.repeat(126)}b`,
]

/** Mostly characters with a meaning for NGINX, a shell, or a terminal. */
const METACHARACTERS = fc.string({
  unit: fc.constantFrom(
    ...';{}"\'\\#$~^*()[]<>|&`%/.:@!?=+ -_aZ09',
    '\n',
    '\r',
    '\t',
    '\0',
    '\x7f',
    '\u2028',
    'é',
    '\ud800',
  ),
  maxLength: 40,
})

export const harmfulString: fc.Arbitrary<string> = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(...HARMFUL) },
  { weight: 3, arbitrary: METACHARACTERS },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 30 }) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom('app.example.com', 'localhost', 'a'), METACHARACTERS)
      .map((parts) => parts.join('')),
  },
)

export const harmfulValue: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 6, arbitrary: harmfulString },
  { weight: 1, arbitrary: fc.constantFrom(null, true, false, [], {}, [[]], [null], { a: 1 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(0, -0, -1, 1.5, 80.5, 65_536, 2 ** 31, 2 ** 53, -1e308, 1e308, Number.MIN_VALUE),
  },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  { weight: 1, arbitrary: fc.array(harmfulString, { maxLength: 5 }) },
  { weight: 1, arbitrary: fc.dictionary(harmfulString, harmfulString, { maxKeys: 3 }) },
)

/** What a valid header can contain: the rest is for the raw connections. */
export const headerValue: fc.Arbitrary<string> = fc.oneof(
  harmfulString.map((text) =>
    Buffer.from(text)
      .toString('latin1')
      .replace(/[\0\r\n]/g, '')
      .trim(),
  ),
  fc.string({ unit: fc.integer({ min: 0x21, max: 0xff }).map((code) => String.fromCharCode(code)), maxLength: 60 }),
  fc.constantFrom('x'.repeat(200), 'x'.repeat(4000)),
)

/** A path segment, percent-encoded or not, that a request line can contain. */
export const segment: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    '..',
    '.',
    '',
    '%2e%2e',
    '..%2f',
    '..%252F..',
    '%00',
    '%c0%af',
    ';x=1',
    'a%2fb',
    'a\\b',
    '%',
    '%zz',
    'A',
    'default',
  ),
  fc.constantFrom(
    '000-proxy-manager',
    '-rf',
    '.hidden',
    'a'.repeat(64),
    'a'.repeat(3000),
    'constructor',
    '__proto__',
    '*',
    '~',
    "'",
    '"',
  ),
  harmfulString.map((text) => encodeURIComponent(text.toWellFormed())),
  harmfulString.map((text) =>
    Buffer.from(text)
      .toString('latin1')
      .replace(/[\0-\x20\x7f]/g, '_'),
  ),
)
