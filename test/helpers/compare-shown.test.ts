import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { compareAnswer } from './compare-answer.ts'
import { startComparison } from './compare-shown.ts'
import { parseShown, splitAnswers } from './shown-json.ts'

const test = suite('what a manual shows, and what is answered')

const ID = '27d8d626-fa41-4d51-aff7-57c939809f42'
const OTHER_ID = '5b0d9054-71c4-4aa5-81dc-83745a131806'
const json = (shown: unknown, answered: unknown) => startComparison().json(shown, answered)

test('the same is the same, also where another one comes with every run', () => {
  const shown = {
    a: [1, { b: null }],
    created_at: '2026-11-23T10:51:27.570Z',
    receipt: { generation: 1, proved_ms: 111 },
  }
  const answered = {
    a: [1, { b: null }],
    created_at: '2027-01-01T00:00:00.000Z',
    receipt: { generation: 42, proved_ms: 9 },
  }
  assert.equal(json(shown, answered), [])
})

for (const [what, shown, answered, difference] of [
  ['another value', { a: 1 }, { a: 2 }, 'a is shown as 1, and is 2'],
  ['another type', { a: 1 }, { a: '1' }, 'a is shown as 1, and is "1"'],
  ['nothing for null', { a: null }, {}, 'a is shown, and is not there'],
  ['a key that is gone', { a: { b: 1, c: 1 } }, { a: { c: 1 } }, 'a.b is shown, and is not there'],
  ['a key that is new', { a: {} }, { a: { aliases: [] } }, 'a.aliases is not shown'],
  ['an element more', [1], [1, 2], 'the whole is shown as [1], and is [1,2]'],
  ['an element less', { a: [1, 2] }, { a: [1] }, 'a is shown as [1,2], and is [1]'],
  ['another element', ['a', { b: 1 }], ['a', { b: 2 }], '1.b is shown as 1, and is 2'],
  [
    'null for a time',
    { at: '2026-11-23T10:51:27.570Z' },
    { at: null },
    'at is shown as "2026-11-23T10:51:27.570Z", and is null',
  ],
  [
    'a time for null',
    { at: null },
    { at: '2026-11-23T10:51:27.570Z' },
    'at is shown as null, and is "2026-11-23T10:51:27.570Z"',
  ],
  [
    'another kind of time',
    { at: '2026-11-23T10:51:27.570Z' },
    { at: 'today' },
    'at is shown as "2026-11-23T10:51:27.570Z", and is "today"',
  ],
  [
    'what is shown being of no kind',
    { revision: 'abc' },
    { revision: 'f00a7ce98e6cbf0d' },
    'revision is shown as "abc", and is "f00a7ce98e6cbf0d"',
  ],
  ['a text for a number', { batch: 1 }, { batch: '1' }, 'batch is shown as 1, and is "1"'],
] as const) {
  test(`${what} is seen, and where`, () => {
    assert.equal(json(shown, answered), [difference])
  })
}

test('a version is of its kind for NGINX alone', () => {
  assert.equal(json({ nginx: { version: '1.22.1' } }, { nginx: { version: '1.29.0' } }), [])
  assert.is(json({ version: '0.1.0' }, { version: '0.2.0' }).length, 1)
})

test('where one name is shown twice, the same one has to come twice, and nowhere else', () => {
  const comparison = startComparison()
  assert.equal(comparison.json({ correlation_id: ID }, { correlation_id: OTHER_ID }), [])
  assert.is(comparison.answeredFor(ID), OTHER_ID)
  assert.equal(comparison.text(`id: ${ID}`, `id: ${OTHER_ID}`), [])
  assert.is(comparison.text(`id: ${ID}`, `id: ${ID}`).length, 1)
  assert.is(comparison.json({ correlation_id: ID }, { correlation_id: ID }).length, 1)
  assert.is(comparison.json({ message_id: ID.replace('2', '3') }, { message_id: OTHER_ID }).length, 1)
})

test('what is left out may be anything, and only there', () => {
  const rest = parseShown('{"a": 1, …\n "z": 2}')
  assert.equal(json(rest, { a: 1, b: 1, c: 1, z: 2 }), [])
  assert.is(json(rest, { a: 1, b: 1 }).length, 1)
  assert.is(json(rest, { a: 2, z: 2 }).length, 1)
  assert.equal(json(parseShown('["a", "…"]'), ['a', 'b', 'c']), [])
  assert.is(json(parseShown('["a", "…"]'), ['b', 'a']).length, 1)
  assert.is(json(parseShown('["a", "b", "…"]'), ['a']).length, 1)
  assert.equal(json('…/sites.d/a', '/etc/(x)/sites.d/a'), [])
  assert.is(json('…/sites.d/a', '/etc/sites-d/a').length, 1)
  assert.is(json({ a: '…' }, { a: 1 }).length, 1)
})

test('what ends in what is left out is closed; what just ends is a mistake', () => {
  assert.equal(parseShown('{"a":{"b":1, …'), { a: { b: 1, '…': '…' }, '…': '…' })
  assert.equal(parseShown('{"a": [1, {…'), { a: [1, { '…': '…' }, '…'], '…': '…' })
  assert.equal(parseShown('{ …, "a": "… \\" {" }'), { '…': '…', a: '… " {' })
  assert.throws(() => parseShown('{"a": 1'), /ends too early/)
  assert.throws(() => parseShown('{"a" 1}'), SyntaxError)
})

test('one block holds several answers, each from the start of a line', () => {
  assert.equal(splitAnswers('{"a":\n  1}\n[2,\n  3]\n'), ['{"a":\n  1}', '[2,\n  3]'])
  assert.equal(splitAnswers('one 1\ntwo 2\n{"a": …\n'), ['one 1\ntwo 2', '{"a": …'])
})

test('text is the same but for times, names and figures', () => {
  const { text } = startComparison()
  const shown = `updated  2026-11-23T11:14:32.243Z\nserved   generation 1, proved in 111 ms\n`
  assert.equal(text(shown, `updated    2027-11-23T11:14:32.243Z\nserved   generation 20, proved in 9 ms`), [])
  assert.is(text(shown, `updated  today\nserved   generation 20, proved in 9 ms`).length, 1)
  assert.is(text(shown, `updated  2027-11-23T11:14:32.243Z`).length, 1)
  assert.is(text('a 1', 'a 2').length, 1)
  assert.is(text('a\n', 'a\nb\n').length, 1)
})

test('a head is as shown: status, each header that is shown, and no other one unless a line says so', () => {
  const answered = `HTTP/1.1 201 Created\r\netag: "f00a7ce98e6cbf0d"\r\nserver-timing: queue;dur=1, test;dur=2.5\r\n\r\n{"a":1}`
  const compare = (shown: string) => compareAnswer(startComparison(), shown, answered)
  const head = 'HTTP/1.1 201\netag: "7eaf58eadb96354f"\nserver-timing: queue;dur=8.7, test;dur=11.0'
  assert.equal(compare(`${head}\n\n{"a": 1}\n`), [])
  assert.equal(compare('HTTP/1.1 201\n…\n\n{"a": 1}\n'), [])
  for (const wrong of [
    `${head}\n\n{"a": 2}`,
    `${head.replace('201', '200')}\n\n{"a": 1}`,
    `${head.replace(', test;dur=11.0', '')}\n\n{"a": 1}`,
    `${head}\nlocation: /x\n\n{"a": 1}`,
    'HTTP/1.1 201\netag: "7eaf58eadb96354f"\n\n{"a": 1}',
  ])
    assert.is(compare(wrong).length, 1, wrong)
})

test.run()
