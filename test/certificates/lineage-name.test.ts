import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { lineageNameOf } from '../../lib/certificates/lineage-name.ts'
import { normalizeDomain } from '../../lib/net/domain.ts'

const test = suite('lineage name')

/** A domain of this length; `letter` tells two of them apart, at their end. */
function domainOf(length: number, letter = 'a'): string {
  const labels = `${'a'.repeat(49)}.`.repeat(6).slice(0, length - 'x.example'.length)
  return `${labels}${letter}.example`
}

test('a lineage is named like its domain if every file name made of it fits', () => {
  for (const domain of ['a.b', 'app.example.com', 'xn--bcher-kva.example', domainOf(240)])
    assert.is(lineageNameOf(domain), domain)
})

test('the longest domains have shortened names, unique and impossible for other domains', () => {
  const names = [241, 242, 250, 253].flatMap((length) =>
    ['a', 'b'].map((letter) => {
      const domain = domainOf(length, letter)
      assert.is(domain.length, length)
      assert.is(normalizeDomain(domain), domain)
      const name = lineageNameOf(domain)
      assert.is(name.length, 240)
      assert.ok(domain.startsWith(name.slice(0, name.indexOf('_'))))
      assert.match(name, /^[a-z0-9.-]+_[0-9a-f]{32}$/)
      assert.type(normalizeDomain(name), 'object')
      assert.is(lineageNameOf(domain), name)
      return name
    }),
  )
  assert.is(new Set(names).size, names.length)
})

test.run()
