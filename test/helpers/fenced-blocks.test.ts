import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readExamples } from './fenced-blocks.ts'

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

test('an example has the line of its fence, its language, and its text without the indentation of the fence', () => {
  assert.equal(
    readExamples(MARKDOWN).map(({ line, language, text }) => [line, language, text]),
    [
      [3, 'sh', 'a \\\n  b\n'],
      [16, 'nginx', 'c {\n  d;\n}\n'],
      [24, '', 'alone\n'],
    ],
  )
})

test('a block without a language is the answer to the one right before it, and an example of its own otherwise', () => {
  assert.equal(
    readExamples(MARKDOWN).map(({ line, shown }) => [line, shown?.line]),
    [
      [3, 8],
      [16, undefined],
      [24, undefined],
    ],
  )
})

test('two answers in a row are not the answer of one example', () => {
  const found = readExamples('```sh\na\n```\n\n```\nb\n```\n\n```\nc\n```\n')
  assert.equal(
    found.map(({ line, shown }) => [line, shown?.line]),
    [
      [1, 5],
      [9, undefined],
    ],
  )
})

test('a fence that is never closed is a mistake', () => {
  assert.throws(() => readExamples('a\n```sh\nb\n'), /line 2/)
})

test.run()
