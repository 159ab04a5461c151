import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { makeKeyPair } from '../../fixtures/acme/certificate.ts'
import { call, putRoute, type RealHost, startHost, through } from './host.ts'
import { setUp } from './set-up.ts'

const test = suite<{ host: RealHost; port: number }>('options of a route, as NGINX keeps them')

setUp(test, async (context, undo) => {
  context.host = await startHost()
  undo(context.host.close)
  context.port = (await context.host.droplet('app')).port
})

test('a network that is not allowed gets 403, one that is gets the droplet', async ({ host, port }) => {
  const put = (allow: readonly string[]) =>
    putRoute(host.manager, 'app', 'app.example.com', port, { options: { allow } })
  assert.is((await put(['192.0.2.0/24'])).status, 201)
  assert.is(await through(host.nginx.httpPort, 'app.example.com'), 'status 403')
  assert.is(await through(host.nginx.httpPort, 'app.example.com', '/.well-known/acme-challenge/x'), 'status 404')
  assert.is((await put(['192.0.2.0/24', '127.0.0.0/8'])).status, 200)
  assert.is(await through(host.nginx.httpPort, 'app.example.com'), 'app')
})

test('in maintenance everyone gets 503 with Retry-After, and afterwards the droplet again', async ({ host, port }) => {
  await putRoute(host.manager, 'app', 'app.example.com', port, { options: { maintenance: true } })
  const head = await curl(['-si', '-H', 'Host: app.example.com', `http://127.0.0.1:${host.nginx.httpPort}/`])
  assert.match(head, /^HTTP\/1\.1 503/)
  assert.match(head, /retry-after: 120/i)
  await putRoute(host.manager, 'app', 'app.example.com', port)
  assert.is(await through(host.nginx.httpPort, 'app.example.com'), 'app')
})

test('aliases are served like the domain, belong to their route alone, and go with it', async ({ host, port }) => {
  const options = { aliases: ['www.app.example.com', 'app.example.net'] }
  const other = await host.droplet('other')
  await putRoute(host.manager, 'app', 'app.example.com', port, { options })
  for (const name of ['app.example.com', ...options.aliases])
    assert.is(await through(host.nginx.httpPort, name), 'app', name)
  const taken = await putRoute(host.manager, 'other', 'app.example.net', other.port)
  assert.equal([taken.status, taken.body.error?.code], [409, 'DOMAIN_CONFLICT'])
  await putRoute(host.manager, 'app', 'app.example.com', port)
  assert.is((await putRoute(host.manager, 'other', 'app.example.net', other.port)).status, 201)
  assert.is(await through(host.nginx.httpPort, 'app.example.net'), 'other')
  assert.is(await through(host.nginx.httpPort, 'www.app.example.com'), 'ECONNRESET')
})

test('a route that redirects needs no upstream, and keeps path and query', async ({ host }) => {
  const body = { domain: 'old.example.com', enable_ssl: false, options: { redirect_to: 'app.example.com' } }
  const created = await call(host.manager, 'PUT', '/proxies/old', body)
  assert.equal([created.status, created.body.upstream, created.body.status], [201, null, 'active'])
  const url = `http://127.0.0.1:${host.nginx.httpPort}/a?b=c`
  const head = await curl(['-si', '-H', 'Host: old.example.com', '-X', 'POST', url])
  assert.match(head, /^HTTP\/1\.1 308/)
  assert.match(head, `Location: http://app.example.com:${host.nginx.httpPort}/a?b=c`)
  assert.is(await through(host.nginx.httpPort, 'old.example.com', '/.well-known/acme-challenge/x'), 'status 404')
})

test('a body larger than the route takes is refused', async ({ host, port }) => {
  await putRoute(host.manager, 'app', 'app.example.com', port, { options: { max_body_size: '1k' } })
  const post = (size: number) =>
    curl([
      ...['-s', '-o', '/dev/null', '-w', '%{http_code}', '-H', 'Host: app.example.com', '--data', 'x'.repeat(size)],
      `http://127.0.0.1:${host.nginx.httpPort}/`,
    ])
  assert.is(await post(1000), '200')
  assert.is(await post(2000), '413')
})

test('an upstream that speaks TLS is probed and proxied over TLS', async ({ host }) => {
  const folder = mkdtempSync(join(tmpdir(), 'proxy-manager-tls-'))
  const { certificate, key } = makeKeyPair(folder)
  const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (request, response) => {
    response.end(request.url === '/ready' ? 'ok' : 'over TLS')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  try {
    const options = { upstream_scheme: 'https', health_check_path: '/ready' }
    const created = await putRoute(host.manager, 'tls', 'tls.example.com', port, { options })
    assert.is(created.status, 201, JSON.stringify(created.body))
    assert.is(created.body.upstream, `https://localhost:${port}`)
    assert.is(await through(host.nginx.httpPort, 'tls.example.com'), 'over TLS')
  } finally {
    server.close()
    server.closeAllConnections()
    rmSync(folder, { recursive: true })
  }
})

test.run()

/** Beside this process, not instead of it: the droplet lives here. */
async function curl(args: readonly string[]): Promise<string> {
  return (await promisify(execFile)('curl', [...args], { timeout: 10_000 })).stdout
}
