import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type ReadDirective, readNginx } from '../../../lib/nginx/config/parse.ts'
import { ngxConfParse, type Tree } from '../../helpers/ngx-conf-parse.ts'

const test = suite('parse')

function treeOf(directives: readonly ReadDirective[]): Tree[] {
  return directives.map(({ name, args, block }) => [[name, ...args], block === undefined ? null : treeOf(block)])
}

function assertReads(text: string, tree: readonly Tree[]): void {
  const { directives, complete } = readNginx(text)
  assert.equal(treeOf(directives), tree, text)
  assert.ok(complete, text)
}

test('directives and blocks are read with their nesting', () => {
  assertReads('', [])
  assertReads(' \n\t\r\n', [])
  assertReads('a;', [[['a'], null]])
  assertReads('a b  c\n\td;e;', [
    [['a', 'b', 'c', 'd'], null],
    [['e'], null],
  ])
  assertReads('http { server { listen 80; } server { } } x;', [
    [
      ['http'],
      [
        [['server'], [[['listen', '80'], null]]],
        [['server'], []],
      ],
    ],
    [['x'], null],
  ])
  assertReads('location ~ ^/a{ b; }', [[['location', '~', '^/a'], [[['b'], null]]]])
})

test('quotes group spaces, braces, semicolons and the other quote, and are not part of the word', () => {
  const table: readonly (readonly [string, string])[] = [
    ['"b c"', 'b c'],
    ["'b c'", 'b c'],
    ['"b;{}#c"', 'b;{}#c'],
    ['"it\'s"', "it's"],
    ['\'say "x"\'', 'say "x"'],
    ['""', ''],
    ["''", ''],
    ['"two\nlines"', 'two\nlines'],
    ['b"c"', 'b"c"'],
    ["b'c", "b'c"],
    ['b#c', 'b#c'],
    ['b}c', 'b}c'],
  ]
  for (const [written, read] of table) assertReads(`a ${written};`, [[['a', read], null]])
  assertReads('if ("x") { }', [[['if', '("x")'], []]])
  assertReads('if ( "x") { }', [[['if', '(', 'x', ')'], []]])
})

test('escapes of quotes, backslash, tab, CR and LF are resolved; before anything else the backslash stays', () => {
  const table: readonly (readonly [string, string])[] = [
    ['"b\\"c"', 'b"c'],
    ["'b\\'c'", "b'c"],
    ['"b\\\\c"', 'b\\c'],
    ['"\\t\\r\\n"', '\t\r\n'],
    ['\\.php$', '\\.php$'],
    ['"\\d\\$"', '\\d\\$'],
    ['b\\ c', 'b\\ c'],
    ['b\\;c', 'b\\;c'],
    ['\\"b', '"b'],
    ['"\\\\\\"', ''],
  ]
  for (const [written, read] of table.slice(0, -1)) assertReads(`a ${written};`, [[['a', read], null]])
  assert.not.ok(readNginx('a "\\\\\\";').complete)
})

test('a comment begins only where a word could, and ends with the line', () => {
  assertReads('# a;\nb; # c {\n#\n#', [[['b'], null]])
  assertReads('a # ;\n b;', [[['a', 'b'], null]])
  assertReads('a#b;', [[['a#b'], null]])
  assertReads('# only CR ends no comment\r a;\n', [])
})

test('a brace right behind a dollar sign is part of the word', () => {
  assertReads(`a \${b};`, [[['a', `\${b}`], null]])
  assertReads(`a x\${b}y {}`, [[['a', `x\${b}y`], []]])
  assertReads('a $' + '{{b};', [[['a', '$' + '{{b}'], null]])
  assertReads('a $${b};', [[['a', '$${b}'], null]])
  assertReads('a $b{c;}', [[['a', '$b'], [[['c'], null]]]])
})

test('only space, tab, CR and LF are white space: other characters are part of a word', () => {
  for (const character of ['\u00a0', '\u2028', '\u0085', '\v', '\f', '\0', '\ufeff'])
    assertReads(`a b${character}c;`, [[['a', `b${character}c`], null]])
})

test('Lua between braces is skipped, whatever braces its strings and comments hold', () => {
  const bodies = [
    'local t = { { 1 }, {} }',
    'return "}"',
    "return '}' .. '\\'}'",
    'return "\\"}"',
    '-- }\n',
    '--[[ }\n } ]] return {}',
    'return [[ } ]]',
    'return [==[ }]] ]=] ]==]',
    'x = "a;b"; y = 1 -- it\'s\n',
  ]
  for (const body of bodies) {
    const text = `content_by_lua_block {${body}} a;`
    assertReads(text, [
      [['content_by_lua_block'], null],
      [['a'], null],
    ])
    assert.is(readNginx(text).directives[0]?.end, text.length - 3, body)
  }
  assertReads('set_by_lua_block $x { return { } } a;', [
    [['set_by_lua_block', '$x'], null],
    [['a'], null],
  ])
})

test('a text that ends too early, has a brace too many, or words in the wrong place is not complete', () => {
  const texts = [
    'a',
    'a b',
    'a {',
    'a { b; ',
    'a "b',
    "a 'b;",
    '}',
    'a; }',
    'a b }',
    ';',
    'a; ;',
    '{ }',
    'a "b"c;',
    'a "b"}',
  ]
  for (const text of [...texts, 'a { b }', 'a "b"#c;', 'a \\', 'a_by_lua_block { "}"'])
    assert.not.ok(readNginx(text).complete, text)
})

test('what was read before a syntax error is kept', () => {
  assert.equal(treeOf(readNginx('a; b { c; } d').directives), [
    [['a'], null],
    [['b'], [[['c'], null]]],
  ])
})

test('each directive knows its line and the offsets of its text', () => {
  const text = '# x\n\na b;\nhttp {\n  server { listen\n80; }\n}\r\n"q\nr" c;d;\n'
  const found = readNginx(text).directives
  const http = found[1]
  const server = http?.block?.[0]
  const listen = server?.block?.[0]
  const all = [found[0], http, server, listen, found[2], found[3]].filter((directive) => directive !== undefined)
  assert.equal(
    all.map(({ line, start, end }) => [line, text.slice(start, end)]),
    [
      [3, 'a b;'],
      [4, 'http {\n  server { listen\n80; }\n}'],
      [5, 'server { listen\n80; }'],
      [5, 'listen\n80;'],
      [8, '"q\nr" c;'],
      [9, 'd;'],
    ],
  )
})

test('any text is read as NGINX itself reads it, or refused if NGINX refuses it', () => {
  let read = 0
  const nasty = fc.constantFrom(...';{}"\'\\#$ ()', '\n', '\r', '\t', '\0', '\u2028', 'a', 'n', ' ', ';', '} ', ' {')
  fc.assert(
    fc.property(fc.array(nasty, { maxLength: 24 }), (characters) => {
      const text = characters.join('')
      const { directives, complete } = readNginx(text)
      const expected = ngxConfParse(text)
      assert.is(complete, expected !== undefined, JSON.stringify(text))
      if (expected === undefined) return
      assert.equal(treeOf(directives), expected, JSON.stringify(text))
      if (expected.length > 0) read++
    }),
    { numRuns: 20_000 },
  )
  assert.ok(read > 500, `only ${read} texts were read`)
})

test('a text made of complete directives is read as NGINX itself reads it', () => {
  const word = fc.constantFrom('a', '"b;"', "'}'", '$c', `\${d}`, '\\"', 'e\\;', '""', 'f}', '"\\\\"', "'\\'{'")
  const gap = fc.constantFrom(' ', '\n', '\t', '\r\n', ' # }\n', '  ')
  const head = fc.array(fc.tuple(word, gap), { minLength: 1, maxLength: 4 }).map((words) => words.flat().join(''))
  const { text } = fc.letrec<{ text: string; directive: string }>((tie) => ({
    text: fc.array(tie('directive'), { maxLength: 3 }).map((directives) => directives.join('')),
    directive: fc.oneof(
      { depthSize: 'small' },
      head.map((words) => `${words};`),
      fc.tuple(head, gap, tie('text')).map(([words, space, inside]) => `${words}{${space}${inside}}`),
    ),
  }))
  fc.assert(
    fc.property(text, (written) => {
      const expected = ngxConfParse(written)
      assert.is.not(expected, undefined, JSON.stringify(written))
      assert.equal(treeOf(readNginx(written).directives), expected, JSON.stringify(written))
    }),
    { numRuns: 2_000 },
  )
})

test.run()
