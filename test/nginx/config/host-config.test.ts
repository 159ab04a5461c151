import { basename } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type HostConfiguration,
  readHostConfiguration,
  readListen,
  type UnmanagedServer,
} from '../../../lib/nginx/config/host-config.ts'
import { absolutePath, byBytes, expandInclude, includesSites } from '../../../lib/nginx/config/include.ts'
import { listenAddresses, ownerOf, withoutDefaultServer } from '../../../lib/nginx/config/listens.ts'
import { type ReadDirective, readNginx } from '../../../lib/nginx/config/parse.ts'
import { debianFiles, memoryTree } from '../../helpers/memory-tree.ts'

const test = suite('host-config')

const MAIN = '/etc/nginx/nginx.conf'
const ENABLED = '/etc/nginx/sites-enabled'
const isOwn = (path: string) => path.includes('/fpai-')

function readHost(files: Readonly<Record<string, string>>): HostConfiguration {
  const host = readHostConfiguration(MAIN, ENABLED, memoryTree(files), isOwn)
  if (host === undefined) throw new Error('the main file cannot be read')
  return host
}

/** The server blocks of a text inside `http`. */
function serversOf(http: string): readonly UnmanagedServer[] {
  return readHost({ [MAIN]: `http { ${http} }` }).servers
}

function include(pattern: string): ReadDirective {
  const [directive] = readNginx(`include ${pattern};`).directives
  if (directive === undefined) throw new Error('no include')
  return directive
}

function expand(pattern: string, paths: readonly string[]): string[] {
  return expandInclude(include(pattern), MAIN, memoryTree(Object.fromEntries(paths.map((path) => [path, '']))))
}

test("Debian's own configuration is understood", () => {
  const host = readHost(debianFiles())
  assert.is(host.mainPath, MAIN)
  assert.is(host.includesSitesEnabled, true)
  assert.is(host.pid, '/run/nginx.pid')
  assert.is(host.errorLog, '/var/log/nginx/error.log')
  assert.equal(host.servers, [
    {
      names: ['_'],
      listens: [
        { address: '*', port: 80, options: ['default_server'] },
        { address: '[::]', port: 80, options: ['default_server'] },
      ],
      file: 'default',
      line: 21,
    },
  ])
  assert.equal([...host.mainDirectives].sort(), ['error_log', 'events', 'http', 'pid', 'user', 'worker_processes'])
  assert.ok(host.httpDirectives.has('types_hash_max_size'))
  assert.not.ok(host.httpDirectives.has('server_names_hash_bucket_size'), 'it is in a comment')
})

test("if Debian's default site is enabled, the host keeps its default server on port 80 and ours is on 443", () => {
  const { servers } = readHost(debianFiles())
  assert.equal(withoutDefaultServer(listenAddresses(servers, 80, true), servers), [])
  assert.equal(withoutDefaultServer(listenAddresses(servers, 443, true), servers), ['443', '[::]:443'])
})

test('a main file that cannot be read is not a configuration', () => {
  assert.is(readHostConfiguration(MAIN, ENABLED, memoryTree({}), isOwn), undefined)
})

test('server blocks are found through nested, relative and globbed includes, each with its own file and line', () => {
  const host = readHost({
    [MAIN]: 'include main.d/*.conf;\nhttp {\n  include conf.d/*.conf;\n  include /srv/extra.conf;\n}\n',
    '/etc/nginx/main.d/worker.conf': 'worker_shutdown_timeout 10s;',
    '/etc/nginx/conf.d/b.conf': 'server { server_name b; }',
    '/etc/nginx/conf.d/a.conf': 'server_names_hash_bucket_size 128;\n\ninclude vhosts/one;',
    '/etc/nginx/vhosts/one': '\nserver { server_name one; include vhosts/listen; }',
    '/etc/nginx/vhosts/listen': 'listen 8080;\ninclude vhosts/names;',
    '/etc/nginx/vhosts/names': 'server_name ONE.example.com;',
    '/srv/extra.conf': 'server { server_name extra; }',
    '/srv/vhosts/one': 'server { server_name wrong; }',
  })
  assert.equal(
    host.servers.map(({ names, file, line, listens }) => [names, file, line, listens[0]?.port]),
    [
      [['one', 'one.example.com'], 'one', 2, 8080],
      [['b'], 'b.conf', 1, 80],
      [['extra'], 'extra.conf', 1, 80],
    ],
  )
  assert.ok(host.httpDirectives.has('server_names_hash_bucket_size'))
  assert.ok(host.mainDirectives.has('worker_shutdown_timeout'))
})

test('an http block in an included file is read like one in the main file', () => {
  const host = readHost({
    [MAIN]: 'include http.conf;',
    '/etc/nginx/http.conf': 'http { include sites-enabled/*; server { server_name a; } }',
  })
  assert.is(host.includesSitesEnabled, true)
  assert.equal(
    host.servers.map((server) => server.file),
    ['http.conf'],
  )
})

test('server blocks outside http are ignored', () => {
  const text = 'stream { server { listen 443; } } mail { server { listen 25; } } server { server_name a; } http { }'
  const host = readHost({ [MAIN]: text })
  assert.equal(host.servers, [])
})

test('files of ours are not parsed', () => {
  const host = readHost({
    [MAIN]: 'http { include sites-enabled/*; }',
    [`${ENABLED}/fpai-a.conf`]: 'server { server_name ours; } server_names_hash_bucket_size 512;',
    [`${ENABLED}/other`]: 'server { server_name theirs; }',
  })
  assert.equal(
    host.servers.map((server) => server.names),
    [['theirs']],
  )
  assert.not.ok(host.httpDirectives.has('server_names_hash_bucket_size'))
})

test('files that include themselves, each other, or their whole directory do not loop', () => {
  const folder = Object.fromEntries(
    ['a', 'b', 'c', 'd', 'e'].map((name) => [`/etc/nginx/conf.d/${name}.conf`, 'include conf.d/*; server { }']),
  )
  const host = readHost({
    [MAIN]: 'include nginx.conf; http { include self; include one; include conf.d/*; server { include in; } }',
    '/etc/nginx/self': 'server { server_name self; } include self;',
    '/etc/nginx/one': 'include two;',
    '/etc/nginx/two': 'include one; server { server_name two; }',
    '/etc/nginx/in': 'server_name in; include in;',
    ...folder,
  })
  assert.equal(
    host.servers.slice(0, 2).map((server) => server.names),
    [['self'], ['two']],
  )
  assert.equal(host.servers.at(-1)?.names, ['in'])
})

test('the last error_log and pid at the top level apply', () => {
  const host = readHost({
    [MAIN]: 'error_log a; error_log b notice; pid x; include more; http { error_log c; }',
    '/etc/nginx/more': 'error_log d; pid y;',
  })
  assert.is(host.errorLog, 'd')
  assert.is(host.pid, 'y')
  assert.is(readHost({ [MAIN]: 'http { }' }).errorLog, undefined)
})

test('sites-enabled counts as included only inside http, and by a pattern that our names match', () => {
  const isIncluded = (text: string) => readHost({ [MAIN]: text }).includesSitesEnabled
  for (const pattern of [`${ENABLED}/*`, 'sites-enabled/*', `${ENABLED}/*.conf`, `"${ENABLED}/*"`, `${ENABLED}//*`])
    assert.is(isIncluded(`http { include ${pattern}; }`), true, pattern)
  for (const pattern of [
    '/etc/nginx/conf.d/*',
    `${ENABLED}/*.site`,
    `${ENABLED}/default`,
    `${ENABLED}/fpai-a.conf`,
    `${ENABLED}/*/x`,
    `${ENABLED}`,
  ])
    assert.is(isIncluded(`http { include ${pattern}; }`), false, pattern)
  assert.is(isIncluded(`include ${ENABLED}/*; http { }`), false)
  assert.is(isIncluded(`http { server { include ${ENABLED}/*; } }`), false)
  assert.is(isIncluded(`stream { include ${ENABLED}/*; } http { }`), false)
  assert.is(isIncluded(`http { # include ${ENABLED}/*;\n }`), false)
  assert.is(includesSites(include('sites-enabled/*'), MAIN, `${ENABLED}/`), true)
})

test('an include without a pattern is one file, whether it exists or not', () => {
  assert.equal(expand('mime.types', []), ['/etc/nginx/mime.types'])
  assert.equal(expand('/a/b', []), ['/a/b'])
})

test('a pattern expands to the files that match, in byte order', () => {
  const names = ['b', 'a', 'B', '10', '9', 'a~', 'a.bak', '_', 'ä']
  const paths = names.map((name) => `/x/${name}`)
  assert.equal(
    expand('/x/*', paths),
    ['10', '9', 'B', '_', 'a', 'a.bak', 'a~', 'b', 'ä'].map((name) => `/x/${name}`),
  )
  assert.ok(byBytes('B', 'a') < 0 && byBytes('a', 'B') > 0)
  assert.is(byBytes('a', 'a'), 0)
})

test('patterns match as those of glob(3) do', () => {
  const matches = (pattern: string, names: readonly string[]) =>
    expand(
      `"/x/${pattern}"`,
      names.map((name) => `/x/${name}`),
    )
      .map((path) => basename(path))
      .join(' ')
  const table: readonly (readonly [pattern: string, names: string, matching: string])[] = [
    ['*', 'a .a a.conf', 'a a.conf'],
    ['.*', 'a .a .b.conf', '.a .b.conf'],
    ['*.conf', 'a.conf aXconf a.conf~ .a.conf .conf', 'a.conf'],
    ['?', 'a bb .', 'a'],
    ['?.conf', 'a.conf .conf ab.conf', 'a.conf'],
    ['[ab]*', 'a b c abc', 'a abc b'],
    ['[a-c]x', 'ax bx dx', 'ax bx'],
    ['[!a]x', 'ax bx .x', 'bx'],
    ['[^a]x', 'ax bx', 'bx'],
    ['[]a]x', 'ax ]x bx', ']x ax'],
    ['[.]a', '.a', ''],
    ['[0-9][0-9]-*', '01-a 1-a ab-c', '01-a'],
    ['a[b', 'a[b ab', 'a[b'],
    ['[z-a]*', 'a z', ''],
    ['a+(b)*', 'a+(b)c aab', 'a+(b)c'],
    ['{a,b}*', 'a b {a,b}c', '{a,b}c'],
  ]
  for (const [pattern, names, matching] of table) assert.is(matches(pattern, names.split(' ')), matching, pattern)
})

test('a pattern may match directories too', () => {
  const paths = ['/etc/nginx/sites/b/x.conf', '/etc/nginx/sites/a/y.conf', '/etc/nginx/sites/a/z', '/etc/nginx/x.conf']
  assert.equal(expand('sites/*/*.conf', paths), ['/etc/nginx/sites/a/y.conf', '/etc/nginx/sites/b/x.conf'])
})

test("relative paths are relative to the main file's directory", () => {
  assert.is(absolutePath('a/b', MAIN), '/etc/nginx/a/b')
  assert.is(absolutePath('/a/b', MAIN), '/a/b')
  assert.is(absolutePath('a/b', '/nginx.conf'), '/a/b')
})

test('every form of listen is read', () => {
  const table: readonly (readonly [string, readonly (readonly [string, number])[]])[] = [
    ['80', [['*', 80]]],
    ['*:80', [['*', 80]]],
    ['0.0.0.0:8080', [['*', 8080]]],
    ['0.0.0.0', [['*', 80]]],
    ['127.0.0.1:443', [['127.0.0.1', 443]]],
    ['127.0.0.1', [['127.0.0.1', 80]]],
    ['[::]:80', [['[::]', 80]]],
    ['[::]', [['[::]', 80]]],
    ['[2001:DB8::1]:443', [['[2001:db8::1]', 443]]],
    ['LocalHost:80', [['localhost', 80]]],
    ['localhost', [['localhost', 80]]],
    ['unix:/run/a.sock', []],
    [
      '8000-8002',
      [
        ['*', 8000],
        ['*', 8001],
        ['*', 8002],
      ],
    ],
    [
      '[::1]:1-2',
      [
        ['[::1]', 1],
        ['[::1]', 2],
      ],
    ],
  ]
  for (const [written, expected] of table) {
    const found = readListen([written, 'ssl']).map(({ address, port }) => [address, port])
    assert.equal(found, expected, written)
  }
  assert.equal(readListen(['80', 'ssl', 'http2'])[0]?.options, ['ssl', 'http2'])
})

test('a server block without listen listens on port 80, one with only a unix socket on no port', () => {
  const [plain, onSocket] = serversOf('server { } server { listen unix:/a; }')
  assert.equal(plain?.listens, [{ address: '*', port: 80, options: [] }])
  assert.equal(onSocket?.listens, [])
})

test('a domain is owned by the server block with its exact name on one of our ports', () => {
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

test('wildcards and regular expressions lose to an exact name, so they own no domain', () => {
  const names = '*.example.com app.* ~^app "~^(?<x>.+)\\.example\\.com$" _ "" $hostname'
  assert.is(ownerOf('app.example.com', serversOf(`server { server_name ${names}; }`), [80, 443]), undefined)
})

test('routes listen on the wildcard addresses, in both families if the host has both', () => {
  assert.equal(listenAddresses([], 80, true), ['80', '[::]:80'])
  assert.equal(listenAddresses([], 8443, false), ['8443'])
})

test('routes listen once on every address that a server block of the host binds explicitly', () => {
  const servers = serversOf(`
    server { listen 10.0.0.1:80; listen [2001:db8::1]:80; }
    server { listen 10.0.0.1:80; listen 80; listen 10.0.0.9:8080; listen unix:/a; }`)
  assert.equal(listenAddresses(servers, 80, true), ['80', '[::]:80', '10.0.0.1:80', '[2001:db8::1]:80'])
  assert.equal(listenAddresses(servers, 443, true), ['443', '[::]:443'])
})

test('if one socket of the host serves both families, routes listen only on that one', () => {
  const servers = serversOf('server { listen [::]:80 ipv6only=off default_server; } server { listen 443 ssl; }')
  assert.equal(listenAddresses(servers, 80, true), ['[::]:80'])
  assert.equal(listenAddresses(servers, 443, true), ['443', '[::]:443'])
  assert.equal(withoutDefaultServer(['[::]:80'], servers), [])
})

test('the ports of a range are known one by one', () => {
  const servers = serversOf('server { listen 8000-8010 default_server; listen 10.0.0.1:80-90; }')
  assert.equal(listenAddresses(servers, 80, false), ['80', '10.0.0.1:80'])
  assert.equal(listenAddresses(servers, 8005, false), ['8005'])
  assert.equal(withoutDefaultServer(['8005'], servers), [])
})

test('a default server is looked up for each address and port separately', () => {
  const servers = serversOf(`
    server { listen 80 default_server; listen 443 ssl; }
    server { listen [::]:443 ssl default; }
    server { listen 10.0.0.1:80 default_server; }`)
  const addresses = ['80', '[::]:80', '10.0.0.1:80', '10.0.0.2:80', '443', '[::]:443', '8080']
  assert.equal(withoutDefaultServer(addresses, servers), ['[::]:80', '10.0.0.2:80', '443', '8080'])
})

test.run()
