import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { candidateNames, readResolverConfig } from '../../lib/net/resolver-config.ts'

const test = suite('resolver config')

test('servers, the last search list and ndots are read; anything else is ignored', () => {
  const text =
    '; by hand\nnameserver 10.0.0.1 # first\nnameserver fd00::53\nnameserver\ndomain old.example\nsearch a.example. b.example\noptions timeout:1 ndots:2 rotate\n'
  assert.equal(readResolverConfig(text), {
    servers: ['10.0.0.1', 'fd00::53'],
    search: ['a.example', 'b.example'],
    ndots: 2,
  })
  assert.equal(readResolverConfig(''), { servers: [], search: [], ndots: 1 })
  assert.is(readResolverConfig('options ndots:99').ndots, 15)
})

test('a name with fewer dots than ndots is queried in the search domains first', () => {
  const config = { search: ['a.example', 'b.example'], ndots: 2 }
  assert.equal(candidateNames('db.svc', config), ['db.svc.a.example', 'db.svc.b.example', 'db.svc'])
  assert.equal(candidateNames('x.db.svc', config), ['x.db.svc', 'x.db.svc.a.example', 'x.db.svc.b.example'])
  assert.equal(candidateNames('db', { search: [], ndots: 1 }), ['db'])
})

test.run()
