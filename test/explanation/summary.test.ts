import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { similarNames } from '../../lib/explanation/summary.ts'

const test = suite('names that a caller may have meant')

const KNOWN = ['app.example.com', 'www.app.example.com', 'api.example.com', 'shop.example.org', 'app.example.com']

for (const [name, expected] of Object.entries({
  'ap.example.com': ['api.example.com', 'app.example.com'],
  'app.example.con': ['app.example.com', 'api.example.com'],
  'www.shop.example.org': ['shop.example.org'],
  'app.example.com': ['www.app.example.com', 'api.example.com'],
  'other.example.net': [],
})) {
  test(`${name}: ${expected.join(', ') || 'none'}`, () => {
    assert.equal(similarNames(name, KNOWN), expected)
  })
}

test('at most three are shown, and a long name costs little', () => {
  const many = Array.from({ length: 2000 }, (_, i) => `a${i}.example.com`)
  assert.equal(similarNames('a.example.com', many), ['a0.example.com', 'a1.example.com', 'a2.example.com'])
  assert.equal(similarNames('x'.repeat(253), many), [])
})

test.run()
