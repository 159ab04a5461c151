import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer as createHttpServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { makeKeyPair } from '../../fixtures/acme/certificate.ts'
import { call, putRoute, type RealHost, startHost, through } from '../helpers/system/host.ts'
import { setUp } from '../helpers/system/set-up.ts'

const test = suite<{ host: RealHost; port: number }>('options of a route, as NGINX applies them')

setUp(test, async (context, undo) => {
  // Each of these contradicts a value of ours: NGINX compares those of a route with those it inherits.
  const small = ['proxy_busy_buffers_size', 'proxy_temp_file_write_size', 'proxy_max_temp_file_size']
  const http = [...small.map((name) => `${name} 8k;`), 'proxy_buffer_size 4k; proxy_buffers 8 4k; proxy_ssl_verify on;']
  context.host = await startHost({ http: http.join(' ') })
  undo(context.host.close)
  context.port = (await context.host.droplet('app')).port
})

test('a network that is not allowed gets 403, one that is allowed reaches the droplet', async ({ host, port }) => {
  const put = (allow: readonly string[]) =>
    putRoute(host.manager, 'app', 'app.example.com', port, { options: { allow } })
  assert.is((await put(['192.0.2.0/24'])).status, 201)
  assert.is(await through(host.nginx.httpPort, 'app.example.com'), 'status 403')
  assert.is(await through(host.nginx.httpPort, 'app.example.com', '/.well-known/acme-challenge/x'), 'status 404')
  assert.is((await put(['192.0.2.0/24', '127.0.0.0/8'])).status, 200)
  assert.is(await through(host.nginx.httpPort, 'app.example.com'), 'app')
})

test('in maintenance everyone gets 503 with Retry-After whatever else is set, and afterwards the droplet again', async ({
  host,
  port,
}) => {
  await putRoute(host.manager, 'app', 'app.example.com', port, { options: { maintenance: true } })
  const head = await curl(['-si', '-H', 'Host: app.example.com', `http://127.0.0.1:${host.nginx.httpPort}/`])
  assert.match(head, /^HTTP\/1\.1 503/)
  assert.match(head, /retry-after: 120/i)
  await putRoute(host.manager, 'app', 'app.example.com', port, {
    options: { maintenance: true, redirect_to: 'other.example.com', allow: ['192.0.2.0/24'] },
  })
  assert.is(await through(host.nginx.httpPort, 'app.example.com'), 'status 503')
  await putRoute(host.manager, 'app', 'app.example.com', port)
  assert.is(await through(host.nginx.httpPort, 'app.example.com'), 'app')
})

test('aliases are served like the domain, belong only to their route, and are deleted with it', async ({
  host,
  port,
}) => {
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

test('a route that redirects needs no upstream, and preserves path and query', async ({ host }) => {
  const body = { domain: 'old.example.com', enable_ssl: false, options: { redirect_to: 'app.example.com' } }
  const created = await call(host.manager, 'PUT', '/proxies/old', body)
  assert.equal([created.status, created.body.upstream, created.body.status], [201, null, 'active'])
  const url = `http://127.0.0.1:${host.nginx.httpPort}/a?b=c`
  const head = await curl(['-si', '-H', 'Host: old.example.com', '-X', 'POST', url])
  assert.match(head, /^HTTP\/1\.1 308/)
  assert.match(head, `Location: http://app.example.com:${host.nginx.httpPort}/a?b=c`)
  assert.is(await through(host.nginx.httpPort, 'old.example.com', '/.well-known/acme-challenge/x'), 'status 404')
})

test("a body larger than the route's limit is refused", async ({ host, port }) => {
  await putRoute(host.manager, 'app', 'app.example.com', port, { options: { max_body_size: '1k' } })
  const post = (size: number) =>
    curl([
      ...['-s', '-o', '/dev/null', '-w', '%{http_code}', '-H', 'Host: app.example.com', '--data', 'x'.repeat(size)],
      `http://127.0.0.1:${host.nginx.httpPort}/`,
    ])
  assert.is(await post(1000), '200')
  assert.is(await post(2000), '413')
})

test('an answer with more headers than fit is a 502, and passes with larger buffers, buffered or not', async ({
  host,
}) => {
  const cookies = Array.from({ length: 40 }, (_, i) => `s${i}=${'x'.repeat(1000)}`)
  const droplet = await listening(({ url }, response) => {
    if (url !== '/health') response.setHeader('set-cookie', cookies)
    response.end('signed in')
  })
  const signIn = async (options: Record<string, unknown>) => {
    await putRoute(host.manager, 'login', 'login.example.com', droplet.port, { options })
    return await curl([
      ...['-s', '-o', '/dev/null', '-w', '%{http_code}', '-H', 'Host: login.example.com'],
      `http://127.0.0.1:${host.nginx.httpPort}/`,
    ])
  }
  try {
    assert.is(await signIn({}), '502')
    for (const buffering of [false, true]) assert.is(await signIn({ header_buffer_size: '64k', buffering }), '200')
    assert.is(await signIn({ header_buffer_size: '256k' }), '200')
  } finally {
    droplet.close()
  }
})

test('NGINX closes idle connections to the upstream after the time of the route, or at once', async ({ host }) => {
  const closed: number[] = []
  const droplet = await listening(({ socket, url }, response) => {
    response.end('ok')
    if (url === '/health') return
    const from = performance.now()
    socket.once('close', () => closed.push(performance.now() - from))
  })
  droplet.server.keepAliveTimeout = 60_000
  const idleFor = async (upstream_keepalive_s: number) => {
    const options = { upstream_keepalive_s }
    await putRoute(host.manager, 'idle', 'idle.example.com', droplet.port, { options })
    const connected = once(droplet.server, 'connection')
    assert.is(await through(host.nginx.httpPort, 'idle.example.com'), 'ok')
    const [socket] = await connected
    if (!socket.closed) await once(socket, 'close')
    return closed.at(-1) ?? Number.NaN
  }
  try {
    const [never, second] = [await idleFor(0), await idleFor(1)]
    assert.ok(never < 500, `${never} ms`)
    assert.ok(second > 900 && second < 3500, `${second} ms`)
  } finally {
    droplet.close()
  }
})

test('an upstream that speaks TLS is probed and proxied over TLS, and verified only if it is asked for', async ({
  host,
}) => {
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
    // Self-signed: no CA of the system vouches for it.
    const verified = { options: { ...options, upstream_tls_verify: true } }
    assert.is((await putRoute(host.manager, 'tls', 'tls.example.com', port, verified)).status, 200)
    assert.is(await through(host.nginx.httpPort, 'tls.example.com'), 'status 502')
  } finally {
    server.close()
    server.closeAllConnections()
    rmSync(folder, { recursive: true })
  }
})

test('HTTPS sends HSTS, in maintenance too, and applies allow; HTTP only redirects, without either', async ({
  host,
  port,
}) => {
  const { httpPort, httpsPort } = host.nginx
  layLineage(host, 'strict.example.com')
  const headOf = (url: string) =>
    curl(['-ski', '--resolve', `strict.example.com:${httpsPort}:127.0.0.1`, '-H', 'Host: strict.example.com', url])
  const [http, https] = [`http://127.0.0.1:${httpPort}/`, `https://strict.example.com:${httpsPort}/`]
  const put = async (more: Record<string, unknown>) =>
    (await putRoute(host.manager, 'strict', 'strict.example.com', port, { enable_ssl: true, ...more })).status

  assert.is(await put({}), 201)
  assert.not.match(await headOf(https), /strict-transport-security/i)
  assert.is(await put({ options: { hsts: true } }), 200)
  assert.match(await headOf(https), /^HTTP\/2 200[\s\S]+\nstrict-transport-security: max-age=63072000\r\n/i)
  assert.not.match(await headOf(http), /strict-transport-security/i)
  assert.is(await put({ options: { hsts: true, maintenance: true } }), 200)
  const away = await headOf(https)
  assert.match(away, /^HTTP\/2 503/)
  assert.match(away, /\nstrict-transport-security: max-age=63072000\r\n/i)
  assert.match(away, /\nretry-after: 120\r\n/i)
  assert.is(await put({ options: { allow: ['192.0.2.0/24'] } }), 200)
  assert.match(await headOf(https), /^HTTP\/2 403/)
  assert.match(await headOf(http), /^HTTP\/1\.1 308/)
  await putRoute(host.manager, 'plain', 'plain.example.com', port, { options: { hsts: true, maintenance: true } })
  const plain = await curl(['-si', '-H', 'Host: plain.example.com', http])
  assert.match(plain, /^HTTP\/1\.1 503/)
  assert.not.match(plain, /strict-transport-security/i)
})

test("an upstream that does not answer, or accept connections, is a 504 after the route's time limits", async ({
  host,
}) => {
  const silent = await listening((request, response) => {
    if (request.url === '/health') response.end()
  })
  const full = await startFull()
  try {
    const route = (name: string, upstream: number, options: Record<string, unknown>) =>
      putRoute(host.manager, name, `${name}.example.com`, upstream, {
        upstream_host: '127.0.0.1',
        require_healthy: false,
        options,
      })
    await route('silent', silent.port, { read_timeout_s: 1 })
    await route('full', full.port, { connect_timeout_s: 1 })
    const names = ['silent.example.com', 'full.example.com']
    assert.equal(await Promise.all(names.map((name) => through(host.nginx.httpPort, name))), [
      'status 504',
      'status 504',
    ])
  } finally {
    full.close()
    silent.close()
  }
})

test('without the option websocket the droplet gets a plain request instead of an upgrade', async ({ host }) => {
  const upgrades: (string | undefined)[] = []
  const droplet = await listening(({ headers, url }, response) => {
    if (url !== '/health') upgrades.push(headers.upgrade)
    response.end('plain')
  })
  droplet.server.on('upgrade', (_, socket: Socket) => {
    socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
  })
  const statusOf = async (websocket: boolean) => {
    await putRoute(host.manager, 'ws', 'ws.example.com', droplet.port, { options: { websocket } })
    const headers = { host: 'ws.example.com', connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-key': 'eA==' }
    const sent = request({ host: '127.0.0.1', port: host.nginx.httpPort, headers, agent: false }).end()
    return await new Promise((resolve, reject) => {
      sent.on('upgrade', ({ statusCode }, socket) => {
        socket.destroy()
        resolve(statusCode)
      })
      sent.on('response', (response) => {
        response.resume()
        resolve(response.statusCode)
      })
      sent.on('error', reject)
    })
  }
  try {
    assert.is(await statusOf(true), 101)
    assert.equal(upgrades, [])
    assert.is(await statusOf(false), 200)
    assert.equal(upgrades, [undefined])
  } finally {
    droplet.close()
  }
})

test('the first part of an answer is passed on at once, and with buffering only with the rest', async ({ host }) => {
  let finish = () => {}
  const droplet = await listening(({ url }, response) => {
    if (url !== '/parts') return void response.end('whole')
    // NGINX passes chunks of an answer of unknown length on in any case.
    response.writeHead(200, { 'content-length': 'first second'.length })
    response.write('first ')
    finish = () => void response.end('second')
  })
  const ask = async (buffering: boolean) => {
    await putRoute(host.manager, 'parts', 'parts.example.com', droplet.port, { options: { buffering } })
    const socket = connect(host.nginx.httpPort, '127.0.0.1')
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
    const request = once(droplet.server, 'request')
    socket.write('GET /parts HTTP/1.1\r\nHost: parts.example.com\r\nConnection: close\r\n\r\n')
    await request
    return { socket, text: () => text }
  }
  try {
    const passed = await ask(false)
    while (!passed.text().includes('first')) await once(passed.socket, 'data')
    assert.not.match(passed.text(), /second/)
    finish()
    await once(passed.socket, 'close')

    const held = await ask(true)
    // Enough other requests for it to arrive, if NGINX passed it on.
    for (let i = 0; i < 20; i++) assert.is(await through(host.nginx.httpPort, 'parts.example.com'), 'whole')
    assert.not.match(held.text(), /first/)
    finish()
    await once(held.socket, 'close')
    assert.match(held.text(), /first second$/)
  } finally {
    droplet.close()
  }
})

test.run()

/** A certificate where certbot keeps its own. */
function layLineage(host: RealHost, domain: string): void {
  const folder = join(host.nginx.root, 'letsencrypt/live', domain)
  mkdirSync(folder, { recursive: true })
  const files = ['-keyout', join(folder, 'privkey.pem'), '-out', join(folder, 'fullchain.pem')]
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30']
  const names = ['-subj', `/CN=${domain}`, '-addext', `subjectAltName=DNS:${domain}`]
  execFileSync('openssl', ['req', '-x509', ...key, ...files, ...names], { stdio: 'ignore' })
}

async function listening(handle: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createHttpServer(handle)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const close = () => {
    server.close()
    server.closeAllConnections()
  }
  return { server, port: typeof address === 'object' && address !== null ? address.port : 0, close }
}

/** A port whose backlog is full: the next connection waits, and is not refused. */
async function startFull(): Promise<{ readonly port: number; readonly close: () => void }> {
  const listen = `require('net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, function () {
    console.log(this.address().port)
    process.kill(process.pid, 'SIGSTOP')
  })`
  const child = spawn(process.execPath, ['-e', listen], { stdio: ['ignore', 'pipe', 'ignore'] })
  const [line] = await once(child.stdout, 'data')
  const port = Number(line)
  while (!/^\d+ \(.*\) T/.test(readFileSync(`/proc/${child.pid}/stat`, 'utf8'))) await new Promise(setImmediate)
  // Linux accepts one more than the given backlog.
  const sockets = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')]
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  const close = () => {
    for (const socket of sockets) socket.destroy()
    child.kill('SIGKILL')
  }
  return { port, close }
}

/** Asynchronously, since the droplet runs in this process. */
async function curl(args: readonly string[]): Promise<string> {
  return (await promisify(execFile)('curl', [...args], { timeout: 10_000 })).stdout
}
