import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readHostConfiguration, type UnmanagedServer } from '../../../lib/nginx/config/host-config.ts'
import { readListen } from '../../../lib/nginx/config/listen.ts'
import { type ListenFacts, ownerOf, ownListens, withoutDefaultServer } from '../../../lib/nginx/config/listens.ts'
import { debianFiles, memoryTree } from '../../helpers/memory-tree.ts'

const test = suite('listens')

const MAIN = '/etc/nginx/nginx.conf'

function serversIn(files: Readonly<Record<string, string>>): readonly UnmanagedServer[] {
  return readHostConfiguration(MAIN, '/etc/nginx/sites-enabled', memoryTree(files), () => false)?.servers ?? []
}

/** The server blocks of a text that is in `http`. */
function serversOf(http: string): readonly UnmanagedServer[] {
  return serversIn({ [MAIN]: `http { ${http} }` })
}

function listensOf(servers: readonly UnmanagedServer[], facts: Partial<ListenFacts> = {}) {
  return ownListens(servers, { http: 80, https: 443 }, { hasIpv6: true, bound: [], isLocal: () => true, ...facts })
}

test("where Debian's default site stands, the host keeps its default server on port 80 and we take 443", () => {
  const servers = serversIn(debianFiles())
  assert.equal(withoutDefaultServer(listensOf(servers).httpListens, servers), [])
  assert.equal(withoutDefaultServer(listensOf(servers).httpsListens, servers), ['443', '[::]:443'])
})

test('a domain is owned by the block that has its exact name on one of our ports', () => {
  const servers = serversOf(`
    server { server_name other.example.com; }
    server { listen 443 ssl; server_name www.example.com "App.Example.com"; }
    server { listen 8080; server_name elsewhere.example.com; }
    server { server_name .dotted.example; }
    server { server_name trailing.example.; }`)
  const ownerLine = (domain: string) => ownerOf(domain, servers, [80, 443])?.line
  assert.is(ownerLine('app.example.com'), 3)
  assert.is(ownerLine('other.example.com'), 2)
  assert.is(ownerLine('elsewhere.example.com'), undefined, 'another port')
  assert.is(ownerLine('dotted.example'), 5)
  assert.is(ownerLine('www.dotted.example'), undefined)
  assert.is(ownerLine('trailing.example'), 6)
  assert.is(ownerLine('example.com'), undefined)
})

test('wildcards and patterns lose to an exact name, so they own no domain', () => {
  const names = '*.example.com app.* ~^app "~^(?<x>.+)\\.example\\.com$" _ "" $hostname'
  assert.is(ownerOf('app.example.com', serversOf(`server { server_name ${names}; }`), [80, 443]), undefined)
})

test('routes listen on the wildcards, in both families if the host has both', () => {
  assert.equal(listensOf([]).httpListens, ['80', '[::]:80'])
  assert.equal(listensOf([]).httpsListens, ['443', '[::]:443'])
  assert.equal(listensOf([], { hasIpv6: false }).httpsListens, ['443'])
})

test('beside a wildcard, routes listen on every address that a block of the host binds, once each', () => {
  const servers = serversOf(`
    server { listen 10.0.0.1:80; listen [::]:80; }
    server { listen 10.0.0.1:80; listen 80; listen 10.0.0.9:8080; listen unix:/a; listen [2001:db8::1]:80; }`)
  assert.equal(listensOf(servers).httpListens, ['80', '[::]:80', '10.0.0.1:80', '[2001:db8::1]:80'])
  assert.equal(listensOf(servers).httpsListens, ['443', '[::]:443'])
})

test('if the host names only addresses, routes listen on those: a wildcard could not be bound beside them', () => {
  const servers = serversOf('server { listen 203.0.113.5:80 default_server; listen [2001:db8::1]:80; }')
  const addresses = { http: ['203.0.113.5:80', '[2001:db8::1]:80'], https: ['203.0.113.5:443', '[2001:db8::1]:443'] }
  assert.equal(listensOf(servers).httpListens, addresses.http)
  assert.equal(listensOf(servers).httpsListens, addresses.https, 'nobody listens for HTTPS')
  assert.equal(withoutDefaultServer(addresses.http, servers), ['[2001:db8::1]:80'])
  const ownHttps = serversOf('server { listen 80; } server { listen 203.0.113.5:443 ssl; }')
  assert.equal(listensOf(ownHttps).httpListens, ['80', '[::]:80'])
  assert.equal(listensOf(ownHttps).httpsListens, ['203.0.113.5:443 ssl'])
})

test('each family has its own wildcard: one beside a specific address of the same family cannot be bound', () => {
  const servers = serversOf('server { listen 80; listen [2001:db8::1]:80; }')
  assert.equal(listensOf(servers).httpListens, ['80', '[2001:db8::1]:80'])
  const onlyIpv6 = serversOf('server { listen [::]:80; }')
  assert.equal(listensOf(onlyIpv6).httpListens, ['80', '[::]:80'])
})

test('a wildcard that our own files bind stays when the host adds an address', () => {
  const servers = serversOf('server { listen 127.0.0.1:80; }')
  const bound = [...readListen(['80']), ...readListen(['[::]:80'])]
  assert.equal(listensOf(servers, { bound }).httpListens, ['80', '[::]:80', '127.0.0.1:80'])
})

test('an address that only our own files bind is kept while this host has it', () => {
  const bound = readListen(['203.0.113.5:80'])
  assert.equal(listensOf([], { bound }).httpListens, ['203.0.113.5:80'])
  assert.equal(listensOf([], { bound, isLocal: () => false }).httpListens, ['80', '[::]:80'])
  const moved = serversOf('server { listen 203.0.113.6:80; }')
  assert.equal(listensOf(moved, { bound }).httpListens, ['203.0.113.6:80'])
})

test('if one socket of the host serves both families, routes listen only on that one', () => {
  const servers = serversOf('server { listen [::0]:80 ipv6only=off default_server; } server { listen 443; }')
  assert.equal(listensOf(servers).httpListens, ['[::]:80'])
  assert.equal(listensOf(servers).httpsListens, ['443', '[::]:443'])
  assert.equal(withoutDefaultServer(['[::]:80'], servers), [])
})

test("the host's protocols of a socket are repeated, and no other option", () => {
  const servers = serversOf(`
    server { listen 80 proxy_protocol reuseport; listen 443 ssl http2 proxy_protocol default_server; }
    server { listen 0.0.0.0:80 backlog=9; listen 443 quic; }`)
  assert.equal(listensOf(servers).httpListens, ['80 proxy_protocol', '[::]:80'])
  assert.equal(listensOf(servers).httpsListens, ['443 ssl http2 proxy_protocol', '[::]:443'])
  assert.equal(withoutDefaultServer(['443 ssl http2 proxy_protocol'], servers), [])
})

test('the ports of a range are known one by one', () => {
  const servers = serversOf('server { listen 8000-8010 default_server; listen 10.0.0.1:80-90; listen 80; }')
  assert.equal(listensOf(servers, { hasIpv6: false }).httpListens, ['80', '10.0.0.1:80'])
  assert.equal(withoutDefaultServer(['8005'], servers), [])
})

test('a default server is looked for on each address and port by itself', () => {
  const servers = serversOf(`
    server { listen 80 default_server; listen 443 ssl; }
    server { listen [::]:443 ssl default; }
    server { listen 10.0.0.1:80 default_server; }`)
  const addresses = ['80', '[::]:80', '10.0.0.1:80', '10.0.0.2:80', '443', '[::]:443', '8080']
  assert.equal(withoutDefaultServer(addresses, servers), ['[::]:80', '10.0.0.2:80', '443', '8080'])
})

test.run()
