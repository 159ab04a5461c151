import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { chooseServer, socketsOf } from '../../lib/explanation/choose-server.ts'
import { blocksIn } from './configuration.ts'

const test = suite('the server block that gets a request')

/** The number of the block that gets a host on port 80, and why. */
function choiceOf(servers: readonly string[], host: string | undefined): string {
  const blocks = blocksIn(servers.map((inside) => `server { ${inside} }`).join(' '))
  const [socket] = socketsOf(blocks, 80)
  assert.ok(socket)
  const { block, matchedBy, untried } = chooseServer(socket, host)
  return `${blocks.indexOf(block)} ${matchedBy}${untried.length > 0 ? ' or another' : ''}`
}

const NAMES = [
  'server_name example.com www.example.com;',
  'server_name *.example.com;',
  'server_name *.a.example.com;',
  'server_name mail.* mail.example.*;',
  'server_name ~^(?<sub>\\w+)\\.test$;',
  'server_name ~^\\w+\\.test$ .dotted.net;',
]

for (const [host, expected] of Object.entries({
  'www.example.com': '0 exact',
  'x.example.com': '1 wildcard',
  'x.y.example.com': '1 wildcard',
  'x.a.example.com': '2 wildcard',
  'a.example.com': '1 wildcard',
  'mail.example.com': '1 wildcard',
  'mail.example.org': '3 wildcard',
  'mail.org': '3 wildcard',
  mail: '0 first',
  'one.test': '4 regex',
  'dotted.net': '5 exact',
  'x.dotted.net': '5 wildcard',
  'unknown.net': '0 first',
  'notexample.com': '0 first',
})) {
  test(`${host} gets block ${expected}`, () => {
    assert.is(choiceOf(NAMES, host), expected)
  })
}

test('a default server gets unknown names, and handshakes without SNI, wherever it is', () => {
  const servers = ['server_name a.test;', 'listen 80 default_server; server_name b.test;']
  assert.is(choiceOf(servers, 'c.test'), '1 default_server')
  assert.is(choiceOf(servers, undefined), '1 default_server')
  assert.is(choiceOf(servers, 'a.test'), '0 exact')
})

test('of two blocks with the same name the first gets it', () => {
  assert.is(
    choiceOf(['server_name a.test;', 'server_name b.test .x.test;', 'server_name b.test *.x.test;'], 'b.test'),
    '1 exact',
  )
  assert.is(choiceOf(['server_name *.x.test;', 'server_name .x.test;'], 'a.x.test'), '0 wildcard')
})

test('names are compared in lower case, regular expressions only if they have upper-case letters', () => {
  assert.is(choiceOf(['return 404;', 'server_name A.TEST;'], 'a.test'), '1 exact')
  assert.is(choiceOf(['return 404;', 'server_name ~^A\\.;'], 'a.test'), '1 regex')
  assert.is(choiceOf(['return 404;', 'server_name ~^\\D+$;'], 'a.test'), '1 regex')
})

test('a regular expression that might take very long is not tried', () => {
  for (const pattern of ['(a+)+$', '(a|a)*$', '((x)+)*', '(a)\\1', '(?=a)a', '.*.*.*.*.*.*.*.*=', '[[:alpha:]]+(?R)']) {
    const hostile = 'a'.repeat(253)
    assert.is(choiceOf([`server_name "~${pattern}";`], hostile), '0 first or another', pattern)
  }
})

test('blocks of other addresses and ports do not count; wildcards come first', () => {
  const blocks = blocksIn(`
    server { listen 127.0.0.1:80; server_name a.test; }
    server { listen 80 proxy_protocol; listen [::]:80; server_name b.test; }
    server { listen 443 ssl; server_name a.test; }
    server { listen 443; server_name b.test; }`)
  const shown = socketsOf(blocks, 80).map(({ listen, isTls, blocks: own }) => [
    listen.address,
    listen.options,
    isTls,
    own.length,
  ])
  assert.equal(shown, [
    ['*', ['proxy_protocol'], false, 1],
    ['[::]', [], false, 1],
    ['127.0.0.1', [], false, 1],
  ])
  assert.equal(
    socketsOf(blocks, 443).map(({ isTls, blocks: own }) => [isTls, own.length]),
    [[true, 2]],
  )
  assert.equal(socketsOf(blocks, 81), [])
})

test.run()
