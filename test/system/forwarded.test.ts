import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { connect, type Socket } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { installedBuild } from '../../fixtures/nginx-instance.ts'
import { hasModule } from '../../lib/render/context.ts'
import { call, putRoute, type RealHost, startHost } from '../helpers/system/host.ts'
import { setUp } from '../helpers/system/set-up.ts'

interface Context {
  host: RealHost
  visit: (from: string, headers?: readonly string[]) => Promise<readonly string[]>
}

/** The same as a network, or address by address for an NGINX that knows no networks. */
const TRUSTED = hasModule(installedBuild(), 'geo') ? '127.0.0.8/30' : '127.0.0.8,127.0.0.9,127.0.0.10,127.0.0.11'
const PROXY = '127.0.0.9'
const REALIP =
  'set_real_ip_from 127.0.0.0/8; real_ip_header X-Forwarded-For; real_ip_recursive on; underscores_in_headers on;'

const test = suite<Context>('what a droplet is sent behind another proxy and behind mapped ports')

setUp(test, async (context, undo) => {
  const host = await startHost({ http: REALIP }, { TRUSTED_PROXIES: TRUSTED, NGINX_PUBLIC_HTTP_PORT: '80' })
  undo(host.close)
  let seen: IncomingHttpHeaders = {}
  const droplet = createServer((request, response) => {
    seen = request.headers
    response.end('{}')
  }).listen(0, '127.0.0.1')
  await once(droplet, 'listening')
  undo(async () => void droplet.close())
  const address = droplet.address()
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0
  assert.is((await putRoute(host.manager, 'app', 'app.example.com', port)).status, 201)
  context.host = host
  context.visit = async (from, headers = []) => {
    seen = {}
    const socket = connect({ host: '127.0.0.1', port: host.nginx.httpPort, localAddress: from })
    await text(socket, 'app.example.com', '/', headers)
    const forwarded = ['for', 'proto', 'host', 'port'].map((name) => String(seen[`x-forwarded-${name}`]))
    // As a CGI program sees them.
    const names = Object.keys(seen).map((name) => name.replaceAll('-', '_'))
    assert.is(new Set(names).size, names.length, names.join())
    return [...forwarded, String(seen.host), String(seen['x-real-ip'])]
  }
})

const CLAIMS = [
  'X-Forwarded-For: 198.51.100.7',
  'X-Forwarded-Proto: https',
  'X-Forwarded-Host: shop.example.org',
  'X-Forwarded-Port: 8443',
  'Forwarded: for=198.51.100.7;proto=https',
]

test('what a trusted proxy says is passed on', async ({ visit }) => {
  assert.equal(await visit(PROXY, CLAIMS), [
    ...['198.51.100.7', 'https', 'shop.example.org', '8443'],
    ...['app.example.com', '198.51.100.7'],
  ])
})

test('a trusted proxy that names the scheme alone gets its standard port, and one that says nothing what others get', async ({
  visit,
}) => {
  assert.equal((await visit(PROXY, ['X-Forwarded-Proto: HTTPS'])).slice(0, 4), [
    PROXY,
    'HTTPS',
    'app.example.com',
    '443',
  ])
  assert.equal((await visit(PROXY)).slice(0, 4), [PROXY, 'http', 'app.example.com', '80'])
})

test('whatever a client claims, it is replaced, even if realip believes its address', async ({ visit }) => {
  const own = (address: string) => [address, 'http', 'app.example.com', '80', 'app.example.com', address]
  assert.equal(await visit('127.0.0.1'), own('127.0.0.1'))
  // The realip settings of this host believe every address on loopback: the peer is still no trusted proxy.
  assert.equal(await visit('127.0.0.1', CLAIMS), own('198.51.100.7'))
  const asProxy = [`X-Forwarded-For: ${PROXY}`, ...CLAIMS.slice(1)]
  assert.equal((await visit('127.0.0.1', asProxy)).slice(1, 4), ['http', 'app.example.com', '80'])
  const names = [
    'x_forwarded_proto: https',
    'X-Forwarded_Proto: https',
    'X-Forwarded-Proto : https',
    ' X-Forwarded-Proto: https',
  ]
  for (const name of names) assert.not.equal((await visit('127.0.0.1', [name]))[1], 'https', name)
  for (const one of ['127.0.0.7', '127.0.0.12']) assert.is((await visit(one, CLAIMS))[1], 'http', one)
})

test('a redirect and Host have the port that is open outside, and the proof still reaches NGINX', async ({ host }) => {
  const body = { domain: 'old.example.com', enable_ssl: false, options: { redirect_to: 'app.example.com' } }
  const created = await call(host.manager, 'PUT', '/proxies/old', body)
  assert.equal([created.status, created.body.receipt?.proved_by], [201, 'generation_probe'])
  const head = await text(connect({ host: '127.0.0.1', port: host.nginx.httpPort }), 'old.example.com', '/x?y')
  assert.match(head, /\r\nLocation: http:\/\/app\.example\.com\/x\?y\r\n/)
})

test.run()

/** What NGINX answers on a connection, in full. */
async function text(socket: Socket, domain: string, path: string, headers: readonly string[] = []): Promise<string> {
  let answer = ''
  socket.on('data', (chunk: Buffer) => {
    answer += chunk.toString()
  })
  socket.write([`GET ${path} HTTP/1.1`, `Host: ${domain}`, 'Connection: close', ...headers, '', ''].join('\r\n'))
  await once(socket, 'close')
  return answer
}
