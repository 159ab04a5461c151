import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { coversAll, coversName } from '../../lib/certificates/coverage.ts'
import { namesOf, securedNames, unsecuredNames } from '../../lib/route/names.ts'
import { DEFAULT_OPTIONS } from '../../lib/route/options.ts'

const test = suite('names')

const route = (domains: readonly string[] | null, ...aliases: string[]) => ({
  domain: 'app.example.com',
  options: { ...DEFAULT_OPTIONS, aliases },
  certificate: domains === null ? null : { domains },
})

test('the domain comes first, then the aliases', () => {
  assert.equal(namesOf(route(null, 'a.example.com', 'b.example.com')), [
    'app.example.com',
    'a.example.com',
    'b.example.com',
  ])
  assert.equal(namesOf({ domain: 'app.example.com' }), ['app.example.com'])
})

test('a certificate covers the names in it, in any case, and a wildcard covers one label', () => {
  for (const [certified, name, isFor] of [
    [['app.example.com'], 'app.example.com', true],
    [['App.Example.COM'], 'app.example.com', true],
    [['x.example.com', 'app.example.com'], 'app.example.com', true],
    [['*.example.com'], 'app.example.com', true],
    [['*.example.com'], 'a.b.example.com', false],
    [['*.example.com'], 'example.com', false],
    [['*.com'], 'app.example.com', false],
    [['example.com'], 'app.example.com', false],
    [[], 'app.example.com', false],
  ] as const)
    assert.is(coversName(certified, name), isFor, `${certified} for ${name}`)
  assert.ok(coversAll(['*.example.com'], ['a.example.com', 'b.example.com']))
  assert.not.ok(coversAll(['*.example.com'], ['a.example.com', 'b.example.net']))
})

test('each name is served over HTTPS or only over HTTP, never both and never neither', () => {
  for (const [found, secured, unsecured] of [
    [route(null, 'a.example.net'), [], ['app.example.com', 'a.example.net']],
    [route(['app.example.com']), ['app.example.com'], []],
    [route(['app.example.com'], 'a.example.net'), ['app.example.com'], ['a.example.net']],
    [route(['*.example.net'], 'a.example.net'), ['a.example.net'], ['app.example.com']],
  ] as const) {
    assert.equal(securedNames(found), secured)
    assert.equal(unsecuredNames(found), unsecured)
  }
})

test.run()
