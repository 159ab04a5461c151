import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readExamples, readProse } from './fenced-blocks.ts'

const test = suite('fenced blocks')

const MARKDOWN = `# Title

\`\`\`sh
a \\
  b
\`\`\`

\`\`\`
answer
\`\`\`

Between.

- A list:

  \`\`\`nginx
  c {
    d;
  }
  \`\`\`

Words.

\`\`\`
alone
\`\`\`
`

test('an example has the page and line of its fence, its language, and its text without the indentation of the fence', () => {
  assert.equal(
    readExamples(MARKDOWN, 'a.md').map(({ at, language, text }) => [at, language, text]),
    [
      ['a.md:3', 'sh', 'a \\\n  b\n'],
      ['a.md:16', 'nginx', 'c {\n  d;\n}\n'],
      ['a.md:24', '', 'alone\n'],
    ],
  )
})

test('a block without a language is the answer to the one right before it, and an example of its own otherwise', () => {
  assert.equal(
    readExamples(MARKDOWN, 'a.md').map(({ at, shown }) => [at, shown?.at]),
    [
      ['a.md:3', 'a.md:8'],
      ['a.md:16', undefined],
      ['a.md:24', undefined],
    ],
  )
})

test('two answers in a row are not the answer of one example', () => {
  const found = readExamples('```sh\na\n```\n\n```\nb\n```\n\n```\nc\n```\n', 'a.md')
  assert.equal(
    found.map(({ at, shown }) => [at, shown?.at]),
    [
      ['a.md:1', 'a.md:5'],
      ['a.md:9', undefined],
    ],
  )
})

test('a fence that is never closed is a mistake', () => {
  assert.throws(() => readExamples('a\n```sh\nb\n', 'a.md'), /a\.md:2/)
})

test('prose is every line outside the fences, with its number', () => {
  assert.equal(readProse('a\n```sh\nb\n```\nc', 'a.md'), [
    { line: 1, text: 'a' },
    { line: 5, text: 'c' },
  ])
})

test.run()
