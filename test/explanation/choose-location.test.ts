import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { chooseLocation } from '../../lib/explanation/choose-location.ts'
import { blocksIn } from './configuration.ts'

const test = suite('the location that gets a path')

/** The location, and whether NGINX adds a slash by itself. */
function choiceOf(inside: string, path: string): string | undefined {
  const [block] = blocksIn(`server { ${inside} }`)
  const { chosen, untried } = chooseLocation(block?.directives ?? [], path)
  const notes = `${chosen?.isSlashAdded === true ? ' adds a slash' : ''}${untried.length > 0 ? ' or another' : ''}`
  return chosen && chosen.match + notes
}

const LOCATIONS = `
  location / { return 200; }
  location = /exact { return 200; }
  location /api/ { proxy_pass http://a; }
  location ^~ /static/ { return 200; }
  location ~ \\.php$ { return 200; }
  location ~* ^/IMG { return 200; }
  location /nested { location /nested/in { return 200; } location ~ \\.txt$ { return 200; } }
  location @named { return 200; }`

for (const [path, expected] of Object.entries({
  '/': '/',
  '/exact': '= /exact',
  '/exact/x': '/',
  '/api': '/api/ adds a slash',
  '/api/': '/api/',
  '/apiary': '/',
  '/static/x.php': '^~ /static/',
  '/api/x.php': '~ \\.php$',
  '/img1': '~* ^/IMG',
  '/nested/in/x': '/nested/in',
  '/nested/x.txt': '~ \\.txt$',
  '/nested/x.php': '~ \\.php$',
})) {
  test(`${path} gets ${expected}`, () => {
    assert.is(choiceOf(LOCATIONS, path), expected)
  })
}

test('a server without a matching location has none', () => {
  assert.is(choiceOf('location /a { return 200; }', '/b'), undefined)
})

test('a modifier may be written without a space', () => {
  assert.is(choiceOf('location =/a { return 200; }', '/a'), '= /a')
  assert.is(choiceOf('location ~^/a { return 200; }', '/ab'), '~ ^/a')
})

test('a regular expression that might take very long is not tried', () => {
  const inside = 'location / { return 200; } location ~ ^/(a+)+$ { return 404; } location ~ x.*y.*z { return 404; }'
  assert.is(choiceOf(inside, `/${'a'.repeat(40)}`), '/ or another')
  assert.is(choiceOf('location / { return 200; } location ~ x.*y.*z { return 404; }', '/xyz'), '~ x.*y.*z')
})

test('a pattern with many ways through its alternatives is not tried', () => {
  for (const part of ['(a|aa)', '(aa?)', '(?:ab?|a)'])
    assert.is(choiceOf(`location / { } location "~^/${part.repeat(26)}b$" { }`, `/${'a'.repeat(40)}`), '/ or another')
  const extensions = Array.from({ length: 40 }, (_, i) => `x${i}`).join('|')
  assert.is(choiceOf(`location / { } location "~\\.(${extensions})$" { }`, '/a.x39'), `~ \\.(${extensions})$`)
})

test.run()
