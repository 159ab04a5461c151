/** Hand-written sites that become routes on a real NGINX, while clients ask for them. */
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { testNginx } from '../../fixtures/nginx-instance.ts'
import { hostProcesses } from '../../lib/adapters/processes.ts'
import { certificateFor, HOUR_MS } from '../helpers/certbot.ts'
import { fixture } from '../helpers/memory-tree.ts'
import { type Answer, call, type RealHost, startHost } from '../helpers/system/host.ts'
import { setUp } from '../helpers/system/set-up.ts'
import { workersOf } from '../helpers/system/workers.ts'

const test = suite<{ host: RealHost }>('adoption of a site, under load')

/** The 2048-bit group of RFC 7919, which certbot ships. */
const DHPARAM = `-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
`
const PUBLIC_PORTS = { NGINX_PUBLIC_HTTP_PORT: '80', NGINX_PUBLIC_HTTPS_PORT: '443' }

setUp(test, async (context, undo) => {
  context.host = await startHost({}, PUBLIC_PORTS)
  undo(context.host.close)
  const { root } = context.host.nginx
  writeFileSync(join(root, 'proxy_params'), 'proxy_set_header Host $http_host;\n')
  const options = { 'options-ssl-nginx.conf': 'ssl_session_tickets off;\n', 'ssl-dhparams.pem': DHPARAM }
  for (const [name, text] of Object.entries(options)) writeFileSync(join(root, 'letsencrypt', name), text)
})

interface Wanted {
  readonly domain: string
  readonly path: string
  readonly scheme: 'http' | 'https'
}

/** Status, Location and body of one request over its own connection; that a redirect becomes a 308 is a named difference. */
async function ask({ nginx }: RealHost, { domain, path, scheme }: Wanted): Promise<string> {
  const place = { host: '127.0.0.1', path, headers: { host: domain }, agent: false } as const
  return await new Promise((resolve) => {
    const asking =
      scheme === 'http'
        ? httpRequest({ ...place, port: nginx.httpPort })
        : httpsRequest({ ...place, port: nginx.httpsPort, servername: domain, rejectUnauthorized: false })
    asking.on('response', (response) => {
      const { statusCode, headers } = response
      const isMoved = [301, 302, 308].includes(statusCode ?? 0)
      let body = ''
      response.on('data', (chunk: Buffer) => {
        body += chunk.toString()
      })
      response.on('end', () => resolve(isMoved ? `moved to ${headers.location}` : `${statusCode} ${body}`))
    })
    asking.on('error', (error) => resolve(error.message))
    asking.end()
  })
}

/** Every answer that clients see, by request, while something is done; each of eight clients makes all requests in turn. */
async function watched<T>(
  host: RealHost,
  wanted: readonly Wanted[],
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly seen: ReadonlyMap<Wanted, ReadonlySet<string>>; readonly count: number }> {
  const seen = new Map(wanted.map((one) => [one, new Set<string>()]))
  let [isDone, count] = [false, 0]
  const clients = Array.from({ length: 8 }, async () => {
    for (let rounds = 0; !isDone || rounds < 3; rounds++)
      for (const one of wanted) {
        seen.get(one)?.add(await ask(host, one))
        count++
      }
  })
  const result = await work().finally(() => {
    isDone = true
  })
  await Promise.all(clients)
  return { result, seen, count }
}

/** Reloads NGINX, and returns once the new workers answer and no old one accepts connections any more. */
async function reload({ nginx }: RealHost, isThere: () => Promise<boolean>): Promise<void> {
  const { workerState } = hostProcesses()
  const old = workersOf(nginx)
  process.kill(nginx.masterPid ?? 0, 'SIGHUP')
  const isOver = async () => old.every((pid) => workerState(pid) !== 'accepting') && (await isThere())
  for (let inRow = 0; inRow < 30; ) inRow = (await isOver()) ? inRow + 1 : 0
}

const adopt = (host: RealHost, file: string, more: Readonly<Record<string, unknown>> = {}): Promise<Answer> =>
  call(host.manager, 'POST', '/host/sites/adopt', { file, accept_differences: true, ...more })

const proxied = (port: number) => `location / { proxy_pass http://127.0.0.1:${port}; proxy_set_header Host $host; }`

const Golden = v.object({
  verdict: v.string(),
  routes: v.array(
    v.object({
      body: v.looseObject({
        domain: v.string(),
        path: v.optional(v.string(), ''),
        enable_ssl: v.boolean(),
        options: v.looseObject({ aliases: v.optional(v.array(v.string()), []) }),
      }),
    }),
  ),
  differences: v.array(v.string()),
})
type Golden = v.InferOutput<typeof Golden>

const FORMS = readdirSync(new URL('../../fixtures/sites/', import.meta.url))
  .filter((name) => name.endsWith('.json'))
  .map((name) => ({ name: name.replace('.json', ''), golden: v.parse(Golden, JSON.parse(fixture(`sites/${name}`))) }))
  .filter(({ golden }) => golden.verdict !== 'refused')

/** Requests of everything that a site serves, but for what it is named to serve otherwise. */
function requestsOf({ routes, differences }: Golden): readonly Wanted[] {
  const isRedirected = differences.some((text) => text.includes('is redirected from HTTP to HTTPS'))
  return routes.flatMap(({ body: { domain, path, enable_ssl: isSecure, options } }) =>
    [domain, ...options.aliases].flatMap((name) =>
      (['http', 'https'] as const)
        .filter((scheme) => (scheme === 'http' ? !(isSecure && isRedirected) : isSecure))
        .map((scheme) => ({ domain: name, path: `${path}/a%20b?c=1`, scheme })),
    ),
  )
}

/** A form as this host can serve it: on its ports, with droplets that answer the ports of the fixture, and with certificates. */
async function writeForm(host: RealHost, name: string, { routes }: Golden): Promise<string> {
  const { nginx } = host
  let text = fixture(`sites/${name}.conf`)
    .replaceAll('/etc/letsencrypt', join(nginx.root, 'letsencrypt'))
    .replace(
      /listen( +)(\[::\]:)?(80|443)\b/g,
      (_, space, address = '', port) => `listen${space}${address}${port === '80' ? nginx.httpPort : nginx.httpsPort}`,
    )
    // Without a listen, NGINX would use port 80.
    .replace(/^server \{$(?![\s\S]*\n +listen)/m, `server {\n    listen ${nginx.httpPort};`)
    .replace(/https:\/\/10\.0\.0\.7/g, 'http://127.0.0.1:7007')
    .replace(/192\.168\.1\.20|\b10\.0\.0\.[1-9]\b(?=:)|localhost(?=:)/g, '127.0.0.1')
  const ports = new Set(
    [...text.matchAll(/127\.0\.0\.1:(\d{4})\b|set \$port +(\d{4})/g)].map(([, a, b]) => a ?? b ?? ''),
  )
  for (const port of ports) {
    // Several upstreams are one to a client.
    const { port: own } = await host.droplet(routes.some(({ body }) => 'upstreams' in body) ? 'pool' : port)
    text = text.replaceAll(`127.0.0.1:${port}`, `127.0.0.1:${own}`).replace(`$port           ${port}`, `$port ${own}`)
  }
  const names = routes.flatMap(({ body: { domain, options } }) => [domain, ...options.aliases])
  for (const lineage of new Set([...text.matchAll(/live\/([^/]+)\//g)].map(([, found = '']) => found))) {
    const aliases = names.filter((one) => one !== lineage)
    const { fullchain, privkey } = certificateFor(lineage, { fromMs: Date.now() - HOUR_MS, aliases })
    const folder = join(nginx.root, 'letsencrypt/live', lineage)
    mkdirSync(folder, { recursive: true })
    for (const [file, pem] of Object.entries({ fullchain, privkey })) writeFileSync(join(folder, `${file}.pem`), pem)
  }
  writeFileSync(join(nginx.sitesAvailable, `${name}.conf`), text)
  symlinkSync(join(nginx.sitesAvailable, `${name}.conf`), join(nginx.sitesEnabled, `${name}.conf`))
  return `sites-enabled/${name}.conf`
}

for (const { name, golden } of FORMS) {
  test(`${name}: no request fails, and each gets the same answer before, meanwhile and afterwards`, async ({
    host,
  }) => {
    const file = await writeForm(host, name, golden)
    const wanted = requestsOf(golden)
    const [first] = wanted
    await reload(host, async () => first !== undefined && /^(200|403|moved)/.test(await ask(host, first)))
    const before = new Map<Wanted, string>()
    for (const one of wanted) before.set(one, await ask(host, one))
    const { result, seen, count } = await watched(host, wanted, () => adopt(host, file))
    assert.is(result.status, 200, JSON.stringify(result.body))
    for (const one of wanted) assert.equal([...(seen.get(one) ?? [])], [before.get(one)], JSON.stringify(one))
    assert.ok(count > 10, `only ${count} requests`)
    for (const one of wanted) assert.is(await ask(host, one), before.get(one))
    const rest = (await call(host.manager, 'GET', '/host/sites')).body.sites
    assert.equal(rest, [])
  })
}

test('if NGINX rejects the routes, the site is served as before, and can be adopted once the cause is gone', async ({
  host,
}) => {
  const { nginx } = host
  const ports = { shop: (await host.droplet('shop')).port, api: (await host.droplet('api')).port }
  const file = join(nginx.sitesEnabled, 'late')
  writeFileSync(file, `server { listen ${nginx.httpPort}; server_name late.example.com; ${proxied(ports.api)} }\n`)
  const rival = join(nginx.root, 'conf.d/rival.conf')
  writeFileSync(rival, `upstream fpai_late { server 127.0.0.1:${ports.shop}; }\n`)
  const late: Wanted = { domain: 'late.example.com', path: '/', scheme: 'http' }
  await reload(host, async () => (await ask(host, late)) === '200 api')
  const names = { droplet_names: { 'late.example.com': 'late' } }
  const { result, seen } = await watched(host, [late], () => adopt(host, 'sites-enabled/late', names))
  assert.equal([result.status, result.body.error?.code], [500, 'PROXY_CONFIG_FAILED'])
  assert.equal([...(seen.get(late) ?? [])], ['200 api'])
  assert.ok(existsSync(file))
  assert.ok(testNginx(nginx).ok)
  assert.is((await adopt(host, 'sites-enabled/late')).status, 200)
  assert.is(await ask(host, late), '200 api')
  assert.not.ok(existsSync(file))
})

test.run()
