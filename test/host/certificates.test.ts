import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { join } from 'node:path'
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Pebble, startPebble } from '../../fixtures/acme/pebble.ts'
import { startRefusingCa } from '../../fixtures/acme/refusing-ca.ts'
import { createNginx } from '../../fixtures/nginx-instance.ts'
import { type Answer, call, putRoute, type RealHost, startHost, through } from './host.ts'

interface Context {
  host: RealHost
  pebble: Pebble
  root: string
  port: number
}

const test = suite<Context>('certificates from a real CA, by a real certbot')

test.before(async (context) => {
  const nginx = await createNginx()
  context.pebble = await startPebble({ httpPort: nginx.httpPort, folder: join(nginx.root, 'pebble') })
  const folders = { CERTBOT_WORK_DIR: join(nginx.root, 'work'), CERTBOT_LOGS_DIR: join(nginx.root, 'certbot-logs') }
  const ports = { root: nginx.root, httpPort: nginx.httpPort, httpsPort: nginx.httpsPort }
  context.host = await startHost(ports, { ...context.pebble.environment, ...folders })
  context.root = await context.pebble.root()
  context.port = (await context.host.droplet('app')).port
})
test.after(async ({ host, pebble }) => {
  await host.close()
  await pebble.close()
})

test('a route goes from 202 to HTTPS that a client verifies against the root', async ({ host, port, root }) => {
  const { manager, nginx } = host
  const pending = await putRoute(manager, 'app', 'app.example.com', port, { enable_ssl: true })
  assert.is(pending.status, 202)
  assert.is(pending.body.status, 'pending_ssl')
  const issued = await call(manager, 'POST', '/proxies/app/ssl')
  assert.is(issued.status, 200, JSON.stringify(issued.body))
  assert.is(issued.body.status, 'active')
  assert.is(issued.body.domain, 'app.example.com')
  assert.is(issued.body.receipt?.proved_by, 'tls_handshake')
  assert.equal(issued.body.preflight, [
    { check: 'dns', domain: 'app.example.com', ok: true, detail: 'app.example.com resolves to 127.0.0.1' },
    {
      check: 'challenge',
      domain: 'app.example.com',
      ok: true,
      detail: 'a file under the challenge path, asked for at 127.0.0.1: came back',
    },
    { check: 'caa', domain: 'app.example.com', ok: true, detail: 'no CAA records' },
  ])

  const shown = await secure(nginx.httpsPort, 'app.example.com', root)
  assert.is(shown.body, 'app')
  assert.is(shown.fingerprint, fingerprintOf(issued))
  assert.is(shown.protocol, 'TLSv1.3')
  assert.match(await alpn(nginx.httpsPort, 'app.example.com'), /ALPN protocol: h2/)

  // Over HTTP: a redirect that keeps path and query, except for the CA's challenge.
  assert.is(
    await locationOf(nginx.httpPort, 'app.example.com', '/a/b?c=d'),
    `https://app.example.com:${nginx.httpsPort}/a/b?c=d`,
  )
  assert.is(await through(nginx.httpPort, 'app.example.com', '/.well-known/acme-challenge/none'), 'status 404')
})

test('again without force it is the same certificate, and the CA is not asked; forced it is another one, served at once', async (context) => {
  const { host, root } = context
  const first = await route(host, 'again', context.port)
  const again = await call(host.manager, 'POST', '/proxies/again/ssl')
  assert.is(again.status, 200)
  assert.is(again.body.ordered, false)
  assert.is(again.body.receipt?.reloaded, false)
  assert.is(fingerprintOf(again), fingerprintOf(first))
  const forced = await call(host.manager, 'POST', '/proxies/again/ssl', { force_renew: true })
  assert.is(forced.status, 200, JSON.stringify(forced.body))
  assert.is(forced.body.ordered, true)
  assert.is.not(fingerprintOf(forced), fingerprintOf(first))
  assert.is((await secure(host.nginx.httpsPort, 'again.example.com', root)).fingerprint, fingerprintOf(forced))
  // The former copy goes once the caller has its answer: no generation uses it.
  const copies = () => readdirSync(join(host.nginx.root, 'state/certificates/again.example.com'))
  await eventually(async () => copies().length === 1 || undefined)
  assert.equal(copies(), [fingerprintOf(forced)])
})

test('one certificate is for the domain and its aliases; a later alias waits over HTTP until the next order', async (context) => {
  const { host, port, root } = context
  const shop = (...aliases: string[]) =>
    putRoute(host.manager, 'shop', 'shop.example.com', port, { enable_ssl: true, options: { aliases } })
  const asked = () => call(host.manager, 'POST', '/proxies/shop/ssl')
  await shop('www.shop.example.com')
  const rehearsed = await call(host.manager, 'POST', '/proxies/shop/ssl?dry_run=true')
  assert.equal([rehearsed.status, rehearsed.body.would_order], [200, true])
  const first = await asked()
  assert.is(first.status, 200, JSON.stringify(first.body))
  for (const name of ['shop.example.com', 'www.shop.example.com'])
    assert.is((await secure(host.nginx.httpsPort, name, root)).fingerprint, fingerprintOf(first))
  const location = await locationOf(host.nginx.httpPort, 'www.shop.example.com', '/')
  assert.is(location, `https://www.shop.example.com:${host.nginx.httpsPort}/`)

  const wider = await shop('www.shop.example.com', 'shop.example.net')
  assert.equal([wider.status, wider.body.status], [202, 'pending_ssl'])
  assert.match(JSON.stringify(wider.body.next), 'shop.example.net is served over HTTP; HTTPS is wanted')
  assert.is(await through(host.nginx.httpPort, 'shop.example.net'), 'app')
  assert.is((await secure(host.nginx.httpsPort, 'shop.example.com', root)).fingerprint, fingerprintOf(first))
  const second = await asked()
  assert.equal([second.status, second.body.ordered, second.body.status], [200, true, 'active'])
  assert.is((await secure(host.nginx.httpsPort, 'shop.example.net', root)).fingerprint, fingerprintOf(second))
  const lineages = readdirSync(join(host.nginx.root, 'letsencrypt/live')).filter((name) => name.startsWith('shop'))
  assert.equal(lineages, ['shop.example.com'])
})

test('a domain that only redirects does so over HTTPS, with a certificate of its own', async ({ host, root }) => {
  const body = { domain: 'old.example.com', options: { redirect_to: 'app.example.com' } }
  assert.is((await call(host.manager, 'PUT', '/proxies/old', body)).status, 202)
  assert.is((await call(host.manager, 'POST', '/proxies/old/ssl')).status, 200)
  const target = `https://app.example.com:${host.nginx.httpsPort}/x`
  assert.is(await locationOf(host.nginx.httpPort, 'old.example.com', '/x'), target)
  const shown = await secure(host.nginx.httpsPort, 'old.example.com', root)
  assert.match(shown.body, '308 Permanent Redirect')
})

test('the private key is readable by root alone, and is in no answer and in no log', async ({ host }) => {
  const folder = join(host.nginx.root, 'state/certificates/again.example.com')
  const [fingerprint = ''] = readdirSync(folder)
  const keyPath = join(folder, fingerprint, 'privkey.pem')
  assert.is(statSync(keyPath).mode & 0o777, 0o600)
  const secret = readFileSync(keyPath, 'utf8').split('\n')[1] ?? ''
  assert.ok(secret.length > 20)
  const answers = [await call(host.manager, 'GET', '/proxies/again'), await call(host.manager, 'GET', '/proxies')]
  assert.not.ok(JSON.stringify(answers.map(({ body }) => body)).includes(secret))
  assert.not.ok(host.manager.log.join('\n').includes(secret))
})

test('calls for one droplet at the same time share one order; ten droplets at once all get theirs', async (context) => {
  const { host, port, root } = context
  await putRoute(host.manager, 'shared', 'shared.example.com', port, { enable_ssl: true })
  const both = await Promise.all([1, 2, 3].map(() => call(host.manager, 'POST', '/proxies/shared/ssl')))
  assert.equal(
    both.map(({ status }) => status),
    [200, 200, 200],
  )
  assert.is(new Set(both.map(fingerprintOf)).size, 1)

  const names = Array.from({ length: 10 }, (_, i) => `many-${i}`)
  await Promise.all(
    names.map((name) => putRoute(host.manager, name, `${name}.example.com`, port, { enable_ssl: true })),
  )
  const issued = await Promise.all(names.map((name) => call(host.manager, 'POST', `/proxies/${name}/ssl`)))
  assert.equal([...new Set(issued.map(({ status }) => status))], [200])
  for (const [i, name] of names.entries()) {
    const shown = await secure(host.nginx.httpsPort, `${name}.example.com`, root)
    assert.is(shown.fingerprint, fingerprintOf(issued[i]))
  }
})

test("a renewal by certbot itself, behind the API's back, is served without a call", async (context) => {
  const { host, pebble, root } = context
  const first = await route(host, 'renewed', context.port)
  renewByHand(host, pebble, 'renewed.example.com')
  const shown = await eventually(async () => {
    const fingerprint = fingerprintOf(await call(host.manager, 'GET', '/proxies/renewed'))
    return fingerprint === fingerprintOf(first) ? undefined : fingerprint
  })
  assert.is((await secure(host.nginx.httpsPort, 'renewed.example.com', root)).fingerprint, shown)
})

test('a renewal while the API is down is served after its start', async (context) => {
  const { host, pebble, root } = context
  const first = await route(host, 'down', context.port)
  await host.manager.end('SIGKILL')
  renewByHand(host, pebble, 'down.example.com')
  assert.is((await secure(host.nginx.httpsPort, 'down.example.com', root)).fingerprint, fingerprintOf(first))
  await host.restart('SIGKILL')
  await eventually(async () => {
    const { fingerprint } = await secure(host.nginx.httpsPort, 'down.example.com', root)
    return fingerprint === fingerprintOf(first) ? undefined : fingerprint
  })
})

test('a deleted or damaged lineage does not touch what NGINX reads', async (context) => {
  const { host, root } = context
  const first = await route(host, 'damaged', context.port)
  rmSync(join(host.nginx.root, 'letsencrypt/live/damaged.example.com'), { recursive: true })
  const other = await host.droplet('other')
  assert.is(
    (await putRoute(host.manager, 'damaged', 'damaged.example.com', other.port, { enable_ssl: true })).status,
    200,
  )
  const shown = await secure(host.nginx.httpsPort, 'damaged.example.com', root)
  assert.is(shown.fingerprint, fingerprintOf(first))
  assert.is(shown.body, 'other')
  // And what is left of it does not get in the way of the next order.
  const forced = await call(host.manager, 'POST', '/proxies/damaged/ssl', { force_renew: true })
  assert.is(forced.status, 200, JSON.stringify(forced.body))
  assert.not.ok(existsSync(join(host.nginx.root, 'letsencrypt/live/damaged.example.com-0001')))
})

test('an emptied renewal file ends in the same lineage, not in another one', async (context) => {
  const { host } = context
  await route(host, 'emptied', context.port)
  writeFileSync(join(host.nginx.root, 'letsencrypt/renewal/emptied.example.com.conf'), '')
  const forced = await call(host.manager, 'POST', '/proxies/emptied/ssl', { force_renew: true })
  assert.is(forced.status, 200, JSON.stringify(forced.body))
  assert.equal(
    readdirSync(join(host.nginx.root, 'letsencrypt/live')).filter((name) => name.startsWith('emptied')),
    ['emptied.example.com'],
  )
})

test('a lost copy is mended at the start, so that NGINX can start', async (context) => {
  const { host, root } = context
  const first = await route(host, 'lost', context.port)
  await host.manager.end('SIGTERM')
  rmSync(join(host.nginx.root, 'state/certificates/lost.example.com'), { recursive: true })
  await host.restart('SIGKILL')
  assert.is((await secure(host.nginx.httpsPort, 'lost.example.com', root)).fingerprint, fingerprintOf(first))
  await host.nginx.stop()
  await host.nginx.start()
  assert.is((await secure(host.nginx.httpsPort, 'lost.example.com', root)).body, 'app')
})

test('a copy that is damaged after NGINX has accepted it is noticed by the next change, before anything goes live', async (context) => {
  const { host, root, port } = context
  const first = await route(host, 'torn', port)
  for (const more of [{}, { options: { buffering: true } }])
    await putRoute(host.manager, 'next', 'next.example.com', port, more)
  const key = join(host.nginx.root, 'state/certificates/torn.example.com', fingerprintOf(first) ?? '', 'privkey.pem')
  const whole = readFileSync(key)
  writeFileSync(key, 'torn')
  const refused = await putRoute(host.manager, 'next', 'next.example.com', port)
  assert.equal([refused.status, refused.body.error?.code], [503, 'NGINX_ALREADY_BROKEN'])
  assert.is((await secure(host.nginx.httpsPort, 'torn.example.com', root)).fingerprint, fingerprintOf(first))
  writeFileSync(key, whole)
  assert.is((await putRoute(host.manager, 'next', 'next.example.com', port)).status, 200)
})

test('DELETE leaves the certificate, and a route created over it is HTTPS at once; with delete_certificate it is gone', async (context) => {
  const { host } = context
  const lineage = join(host.nginx.root, 'letsencrypt/live/kept.example.com')
  await route(host, 'kept', context.port)
  await call(host.manager, 'DELETE', '/proxies/kept')
  assert.ok(existsSync(lineage))
  const created = await putRoute(host.manager, 'kept', 'kept.example.com', context.port, { enable_ssl: true })
  assert.is(created.status, 201)
  assert.is(created.body.status, 'active')
  const deleted = await call(host.manager, 'DELETE', '/proxies/kept?delete_certificate=true')
  assert.is(deleted.body.certificate_deleted, true)
  assert.not.ok(existsSync(lineage))
  assert.not.ok(existsSync(join(host.nginx.root, 'state/certificates/kept.example.com')))
  assert.is((await putRoute(host.manager, 'kept', 'kept.example.com', context.port, { enable_ssl: true })).status, 202)
})

test('a domain that changes never serves the certificate of the former one', async (context) => {
  const { host } = context
  await route(host, 'moving', context.port)
  const moved = await putRoute(host.manager, 'moving', 'moved.example.com', context.port, { enable_ssl: true })
  assert.is(moved.status, 202)
  await secure(host.nginx.httpsPort, 'moving.example.com', context.root).then(
    () => assert.unreachable('the former name is still served'),
    () => undefined,
  )
})

test('a route that is deleted while its certificate is being issued stays deleted, and the caller learns it', async (context) => {
  const { host } = context
  await putRoute(host.manager, 'fleeting', 'fleeting.example.com', context.port, { enable_ssl: true })
  const issuing = call(host.manager, 'POST', '/proxies/fleeting/ssl')
  await eventually(async () => existsSync(join(host.nginx.root, 'state/orders/fleeting.example.com.json')) || undefined)
  assert.is((await call(host.manager, 'DELETE', '/proxies/fleeting')).status, 200)
  const answer = await issuing
  assert.is(answer.status, 404)
  assert.is(answer.body.error?.code, 'PROXY_NOT_FOUND')
  assert.is((await call(host.manager, 'GET', '/proxies/fleeting')).status, 404)
})

test('a name that does not resolve is told as such, HTTP goes on, and the fourth failure in an hour is not sent to the CA', async (context) => {
  const { host, pebble } = context
  await putRoute(host.manager, 'nodns', 'nodns.example.com', context.port, { enable_ssl: true })
  await pebble.dns('set-servfail', { host: 'nodns.example.com' })
  for (let tries = 0; tries < 3; tries++) {
    const failed = await call(host.manager, 'POST', '/proxies/nodns/ssl')
    assert.is(failed.status, 502)
    assert.is(failed.body.error?.code, 'SSL_ISSUANCE_FAILED')
    assert.is(failed.body.error?.details.reason, 'dns')
    assert.match(String(failed.body.error?.details.remedy), /A \(or AAAA\) record/)
  }
  const limited = await call(host.manager, 'POST', '/proxies/nodns/ssl')
  assert.is(limited.status, 429)
  assert.is(limited.body.error?.code, 'SSL_RATE_LIMITED')
  assert.ok(Number(limited.headers.get('retry-after')) > 3000)
  assert.is(await through(host.nginx.httpPort, 'nodns.example.com'), 'app')
  const shown = await call(host.manager, 'GET', '/proxies/nodns')
  assert.is(shown.body.status, 'pending_ssl')
  assert.match(JSON.stringify(shown.body.ssl_error), /"reason":"dns"/)
  await pebble.dns('clear-servfail', { host: 'nodns.example.com' })
})

test('a CA that is down is told as such, costs nothing of the budget, and the next try works', async (context) => {
  const { host, pebble } = context
  await putRoute(host.manager, 'outage', 'outage.example.com', context.port, { enable_ssl: true })
  await pebble.stopCa()
  for (let tries = 0; tries < 4; tries++) {
    const failed = await call(host.manager, 'POST', '/proxies/outage/ssl')
    assert.is(failed.status, 502)
    assert.is(failed.body.error?.details.reason, 'ca_down')
  }
  await pebble.startCa()
  // Another CA now, with another root and no accounts: certbot's account is unknown to it.
  rmSync(join(host.nginx.root, 'letsencrypt/accounts'), { recursive: true })
  const issued = await call(host.manager, 'POST', '/proxies/outage/ssl')
  assert.is(issued.status, 200, JSON.stringify(issued.body))
})

test("the CA's own limit is told with its time, and kept to without asking again", async (context) => {
  const { host } = context
  const until = new Date(Date.now() + 7200_000).toISOString().slice(0, 19).replace('T', ' ')
  const detail = `too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s, retry after ${until} UTC`
  const ca = await startRefusingCa(join(host.nginx.root, 'refusing'), { type: 'rateLimited', status: 429, detail })
  const nginx = await createNginx()
  const environment = { ACME_DIRECTORY_URL: ca.directoryUrl, REQUESTS_CA_BUNDLE: ca.caBundle, SSL_PREFLIGHT: 'off' }
  const folders = { CERTBOT_WORK_DIR: join(nginx.root, 'work'), CERTBOT_LOGS_DIR: join(nginx.root, 'certbot-logs') }
  const other = await startHost({ root: nginx.root }, { ...environment, ...folders })
  try {
    await putRoute(other.manager, 'limited', 'limited.example.com', context.port, { enable_ssl: true })
    const first = await call(other.manager, 'POST', '/proxies/limited/ssl')
    assert.is(first.status, 429, JSON.stringify(first.body))
    const retryAfter = Number(first.headers.get('retry-after'))
    assert.ok(retryAfter > 7000 && retryAfter <= 7200, String(retryAfter))
    for (let tries = 0; tries < 3; tries++) {
      assert.is((await call(other.manager, 'POST', '/proxies/limited/ssl', { force_renew: true })).status, 429)
    }
    assert.is(ca.orders, 1)
  } finally {
    await other.close()
    await ca.close()
  }
})

test('strict preflight refuses before the CA is asked, with the reason', async ({ pebble, port }) => {
  const nginx = await createNginx()
  const host = await startHost({ root: nginx.root }, { ...pebble.environment, SSL_PREFLIGHT: 'strict' })
  try {
    await putRoute(host.manager, 'strict', 'strict.example.com', port, { enable_ssl: true })
    await pebble.dns('add-a', { host: 'strict.example.com', addresses: ['127.0.0.1', '192.0.2.1'] })
    const refused = await call(host.manager, 'POST', '/proxies/strict/ssl')
    assert.is(refused.status, 502)
    assert.is(refused.body.error?.details.reason, 'unreachable')
    assert.match(refused.body.error?.message ?? '', /192\.0\.2\.1/)
    assert.not.ok(existsSync(join(nginx.root, 'letsencrypt/accounts')))
    await pebble.dns('clear-a', { host: 'strict.example.com' })
    await pebble.dns('add-caa', { host: 'strict.example.com', policies: [{ tag: 'issue', value: ';' }] })
    const forbidden = await call(host.manager, 'POST', '/proxies/strict/ssl')
    assert.is(forbidden.body.error?.details.reason, 'caa', JSON.stringify(forbidden.body))
  } finally {
    await host.close()
  }
})

test('without certbot the answer says what to install', async ({ port }) => {
  const host = await startHost({}, { CERTBOT_BIN: '/nowhere/certbot' })
  try {
    await putRoute(host.manager, 'app', 'app.example.com', port, { enable_ssl: true })
    const refused = await call(host.manager, 'POST', '/proxies/app/ssl')
    assert.is(refused.status, 503)
    assert.is(refused.body.error?.code, 'SSL_UNAVAILABLE')
    assert.match(String(refused.body.error?.details.remedy), /Install certbot/)
  } finally {
    await host.close()
  }
})

test('in the background a pending route gets its certificate without a call', async ({ port }) => {
  const nginx = await createNginx()
  const own = await startPebble({ httpPort: nginx.httpPort, folder: join(nginx.root, 'pebble') })
  const host = await startHost(
    { root: nginx.root, httpPort: nginx.httpPort },
    { ...own.environment, SSL_AUTO_ISSUE: 'true' },
  )
  try {
    assert.is((await putRoute(host.manager, 'auto', 'auto.example.com', port, { enable_ssl: true })).status, 202)
    await eventually(async () =>
      (await call(host.manager, 'GET', '/proxies/auto')).body.status === 'active' ? true : undefined,
    )
    assert.is((await secure(host.nginx.httpsPort, 'auto.example.com', await own.root())).body, 'app')
  } finally {
    await host.close()
    await own.close()
  }
})

test.run()

/** A route with a certificate of its own. */
async function route(host: RealHost, name: string, port: number): Promise<Answer> {
  await putRoute(host.manager, name, `${name}.example.com`, port, { enable_ssl: true })
  const issued = await call(host.manager, 'POST', `/proxies/${name}/ssl`)
  assert.is(issued.status, 200, JSON.stringify(issued.body))
  return issued
}

function fingerprintOf(answer: Answer | undefined): string {
  const found = /"fingerprint_sha256":"([0-9a-f]{64})"/.exec(JSON.stringify(answer?.body))
  return found?.[1] ?? 'none'
}

/** What certbot's timer does, forced. */
function renewByHand(host: RealHost, pebble: Pebble, domain: string): void {
  const { root } = host.nginx
  const folders = [`--config-dir=${root}/letsencrypt`, `--work-dir=${root}/work`, `--logs-dir=${root}/certbot-logs`]
  const options = ['--force-renewal', '--no-random-sleep-on-renew', '--non-interactive', `--cert-name=${domain}`]
  execFileSync('/usr/bin/certbot', ['renew', ...options, ...folders], {
    env: { ...process.env, REQUESTS_CA_BUNDLE: pebble.caBundle },
    stdio: 'pipe',
  })
}

/** Where a request over HTTP is redirected to. */
async function locationOf(port: number, domain: string, path: string): Promise<string | undefined> {
  return await new Promise((resolve, reject) => {
    const request = httpRequest(
      { host: '127.0.0.1', port, path, agent: false, headers: { host: domain } },
      (response) => {
        response.resume()
        resolve(response.statusCode === 308 ? response.headers.location : `status ${response.statusCode}`)
      },
    )
    request.on('error', reject)
    request.end()
  })
}

interface Secure {
  readonly body: string
  readonly fingerprint: string
  readonly protocol: string | null
}

/** One request over HTTPS that is verified against the CA's root. */
async function secure(port: number, domain: string, ca: string): Promise<Secure> {
  return await new Promise((resolve, reject) => {
    const request = httpsRequest(
      { host: '127.0.0.1', port, servername: domain, ca, agent: false, headers: { host: domain } },
      (response) => {
        const socket = response.socket as TLSSocket
        const certificate: DetailedPeerCertificate = socket.getPeerCertificate(true)
        let body = ''
        response.on('data', (chunk: Buffer) => {
          body += chunk.toString()
        })
        response.on('end', () =>
          resolve({
            body,
            fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
            protocol: socket.getProtocol(),
          }),
        )
      },
    )
    request.on('error', reject)
    request.end()
  })
}

async function alpn(port: number, domain: string): Promise<string> {
  const options = ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', domain, '-alpn', 'h2']
  return execFileSync('openssl', options, { input: '', stdio: ['pipe', 'pipe', 'ignore'] }).toString()
}

/** Asks until there is an answer; fails after ten seconds. */
async function eventually<T>(ask: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + 10_000
  while (Date.now() < deadline) {
    const answer = await ask()
    if (answer !== undefined) return answer
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error('it never happened')
}
