import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ProxyManagerError } from '../../../lib/errors.ts'
import { type Argument, type Directive, printNginx } from '../../../lib/nginx/config/print.ts'
import { ngxConfParse, type Tree } from '../../helpers/ngx-conf-parse.ts'

const test = suite('print')

function assertUnprintable(directives: readonly Directive[], reason?: RegExp): void {
  try {
    printNginx(directives)
  } catch (error) {
    assert.instance(error, ProxyManagerError)
    if (!(error instanceof ProxyManagerError) || !(error.cause instanceof Error)) throw error
    assert.is(error.code, 'INTERNAL')
    if (reason !== undefined) assert.match(error.cause.message, reason)
    return
  }
  assert.unreachable(JSON.stringify(directives))
}

/** What NGINX must read: each argument as one word, variables as `$name`. */
function meaningOf(directives: readonly Directive[]): Tree[] {
  return directives.map(([name, args, block]) => [
    [name, ...args.map(wordOf)],
    block === undefined ? null : meaningOf(block),
  ])
}

function wordOf(argument: Argument): string {
  const parts = typeof argument === 'string' || 'variable' in argument ? [argument] : argument
  return parts.map((part) => (typeof part === 'string' ? part : `$${part.variable}`)).join('')
}

test('directives end in a semicolon, blocks in a brace, four spaces deep', () => {
  const directives: Directive[] = [
    ['worker_processes', ['auto']],
    [
      'http',
      [],
      [
        ['server', [], [['listen', ['[::]:443', 'ssl']]]],
        ['map', [{ variable: 'a' }, { variable: 'b' }], []],
      ],
    ],
  ]
  assert.is(
    printNginx(directives),
    `worker_processes auto;
http {
    server {
        listen [::]:443 ssl;
    }
    map $a $b {
    }
}
`,
  )
  assert.is(printNginx([]), '')
})

test('only words without special characters are printed without quotes', () => {
  const table: readonly (readonly [Argument, string])[] = [
    ['80', '80'],
    ['^~', '^~'],
    ['/.well-known/acme-challenge/', '/.well-known/acme-challenge/'],
    ['a:b,c=d', 'a:b,c=d'],
    ['', '""'],
    ['a b', '"a b"'],
    ['a;b', '"a;b"'],
    ['a{b}', '"a{b}"'],
    ['#a', '"#a"'],
    ["it's", '"it\'s"'],
    ['say "x"', '"say \\"x\\""'],
    ['C:\\n', '"C:\\\\n"'],
    ['}', '"}"'],
    ['ü', '"ü"'],
    [[], '""'],
    [{ variable: 'host' }, '$host'],
    [[{ variable: 'host' }, ':8443'], '$host:8443'],
    [['https://a.example', { variable: 'request_uri' }], 'https://a.example$request_uri'],
    [['a b', { variable: 'c' }], '"a b$c"'],
    [[{ variable: 'a' }, { variable: 'b' }], '$a$b'],
  ]
  for (const [argument, printed] of table) assert.is(printNginx([['x', [argument]]]), `x ${printed};\n`)
  assert.is(printNginx([['', ['']]]), '"" "";\n')
})

test('a literal dollar sign is refused anywhere, since NGINX has no escape for it', () => {
  assertUnprintable([['x', ['$host']]], /dollar/)
  assertUnprintable([['x', ['a$']]], /dollar/)
  assertUnprintable([['$x', []]], /dollar/)
  assertUnprintable([['a', [], [['b', [['c', '$d']]]]]], /dollar/)
})

test('control characters and line separators are refused anywhere', () => {
  for (const character of ['\n', '\r', '\t', '\0', '\x1b', '\x7f', '\u2028', '\u2029']) {
    assertUnprintable([['x', [`a${character}b`]]], /control character/)
    assertUnprintable([[`x${character}`, []]], /control character/)
    assertUnprintable([['x', [], [['y', [['a', character]]]]]], /control character/)
  }
})

test('a variable has a valid name, and following text that would extend the name is refused', () => {
  for (const name of ['', 'A', 'a b', 'a;', 'a-b', '{a}', '$a', 'a\n'])
    assertUnprintable([['x', [{ variable: name }]]], /invalid name/)
  assertUnprintable([['x', [[{ variable: 'host' }, 'name']]]], /part of its name/)
  assertUnprintable([['x', [[{ variable: 'host' }, '', '_']]]], /part of its name/)
})

test('a directive that NGINX would read differently is refused', () => {
  assertUnprintable([['content_by_lua_block', [], [['a', ['b']]]]], /parses differently/)
})

const alphabet = [...';{}"\'\\#$', '\n', '\r', '\t', '\0', '\u2028']
const literal = fc.oneof(
  fc.array(fc.constantFrom(...alphabet, 'a', ' ', '/', '(', ')'), { maxLength: 8 }).map((all) => all.join('')),
  fc.array(fc.constantFrom(...alphabet.slice(0, 7), 'n', 't', ' ', '}'), { maxLength: 8 }).map((all) => all.join('')),
  fc.string({ unit: 'binary', maxLength: 8 }),
)
const variable = fc.constantFrom('host', 'a_1', '1').map((name) => ({ variable: name }))
const argument: fc.Arbitrary<Argument> = fc.oneof(
  { weight: 3, arbitrary: literal },
  { weight: 1, arbitrary: variable },
  { weight: 1, arbitrary: fc.array(fc.oneof(literal, variable), { maxLength: 3 }) },
)
const { tree } = fc.letrec<{ tree: Directive[]; directive: Directive }>((tie) => ({
  tree: fc.array(tie('directive'), { maxLength: 3 }),
  directive: fc.oneof(
    { depthSize: 'small' },
    fc.tuple(literal, fc.array(argument, { maxLength: 3 })),
    fc.tuple(literal, fc.array(argument, { maxLength: 2 }), tie('tree')),
  ),
}))

function hasUnprintable(text: string): boolean {
  return /[$\x00-\x1f\x7f\u2028\u2029]/.test(text)
}

test('any single argument is refused, or read by NGINX as exactly that word', () => {
  fc.assert(
    fc.property(literal, (text) => {
      const directives: Directive[] = [['server', [], [['server_name', [text]]]]]
      if (hasUnprintable(text)) assertUnprintable(directives)
      else assert.equal(ngxConfParse(printNginx(directives)), meaningOf(directives))
    }),
    { numRuns: 6_000 },
  )
})

test('any tree is refused, or read by NGINX as exactly that tree', () => {
  let printed = 0
  fc.assert(
    fc.property(tree, (directives) => {
      let text: string
      try {
        text = printNginx(directives)
      } catch (error) {
        assert.instance(error, ProxyManagerError)
        return
      }
      printed++
      assert.equal(ngxConfParse(text), meaningOf(directives))
    }),
    { numRuns: 4_000 },
  )
  assert.ok(printed > 500, `only ${printed} trees were printed`)
})

test.run()
