import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { jsonWriter } from '../../lib/http/app.ts'

const test = suite('json writer')

test('the text is that of JSON.stringify, the first time and again', () => {
  const toJson = jsonWriter()
  const route = { name: 'a', options: { allow: ['10.0.0.0/8'] }, left: undefined, text: '"\u2028\\' }
  for (const body of [[], [route], [route, { b: [] }, null, 1, 'x', undefined, [1]], { list: [route] }, 'text', null]) {
    assert.is(toJson(body), JSON.stringify(body))
    assert.is(toJson(body), JSON.stringify(body))
  }
})

test('an object that is in several lists is serialized once', () => {
  let written = 0
  const toJson = jsonWriter()
  const route = {
    toJSON: () => {
      written++
      return { written }
    },
  }
  assert.is(toJson([route]), '[{"written":1}]')
  assert.is(toJson([route, route]), '[{"written":1},{"written":1}]')
  assert.is(written, 1)
})

test.run()
