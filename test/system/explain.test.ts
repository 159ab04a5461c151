import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { installedBuild } from '../../fixtures/nginx-instance.ts'
import { Explanation } from '../../lib/explanation/explanation.ts'
import { isAtLeast } from '../../lib/nginx/config/version.ts'
import { makeLineage } from '../helpers/arrange.ts'
import { call, putRoute, type RealHost, startHost } from '../helpers/system/host.ts'
import { setUp } from '../helpers/system/set-up.ts'

/** https://nginx.org/en/docs/http/ngx_http_ssl_module.html#ssl_reject_handshake */
const REJECTS = isAtLeast(installedBuild().version, [1, 19, 4])

const test = suite<{ host: RealHost }>('what a real NGINX answers is what is explained')

setUp(test, async (context, undo) => {
  const host = await startHost()
  undo(host.close)
  context.host = host
  const { port } = await host.droplet('one')
  const { httpPort, httpsPort, root } = host.nginx
  const [corp, hand] = [makeLineage('secure.example.com'), makeLineage('tls.example.org')]
  const uploaded = { certificate: corp.fullchain, private_key: corp.privkey }
  assert.is((await call(host.manager, 'PUT', '/certificates/corp', uploaded)).status, 201)
  await putRoute(host.manager, 'plain', 'plain.example.com', port)
  await putRoute(host.manager, 'mount', 'plain.example.com', port, { path: '/api' })
  const more = { enable_ssl: true, certificate: { name: 'corp' } }
  assert.is((await putRoute(host.manager, 'secure', 'secure.example.com', port, more)).status, 201)
  writeFileSync(join(root, 'hand.pem'), hand.fullchain)
  writeFileSync(join(root, 'hand.key'), hand.privkey)
  const sites = `
    server { listen ${httpPort}; server_name hand.example.org *.wild.example.org;
      location / { return 204; } location /api/ { proxy_pass http://127.0.0.1:${port}; } }
    server { listen ${httpPort}; server_name ~^(?<sub>.+)\\.regex\\.example\\.org$; return 301 https://$host$request_uri; }
    ${REJECTS ? `server { listen ${httpsPort} ssl; server_name rejected.example.org; ssl_reject_handshake on; }` : ''}
    server { listen ${httpsPort} ssl; server_name tls.example.org; return 204;
      ssl_certificate hand.pem; ssl_certificate_key hand.key; }`
  writeFileSync(join(root, 'conf.d/hand.conf'), sites)
  // The reload of a change reads them, too.
  assert.is((await putRoute(host.manager, 'other', 'other.example.com', port)).status, 201)
})

async function explain({ manager }: RealHost, url: string): Promise<v.InferOutput<typeof Explanation>> {
  const { status, body } = await call(manager, 'GET', `/explain?url=${encodeURIComponent(url)}`)
  assert.is(status, 200, JSON.stringify(body))
  return v.parse(Explanation, body)
}

for (const [url, kind, match, status, summary] of [
  [
    'http://plain.example.com:PORT/x',
    'route',
    '/',
    200,
    /^Route plain answers .*, from http:\/\/localhost:\d+ \(\w+\)\. NGINX answered 200\.$/,
  ],
  ['http://plain.example.com:PORT/api/x', 'route', '^~ /api/', 200, /^Route mount answers/],
  ['http://plain.example.com:PORT/apiary', 'route', '/', 200, /^Route plain answers/],
  ['https://secure.example.com:SECURE/', 'route', '/', 200, /^Route secure answers/],
  [
    'http://secure.example.com:PORT/a?b',
    'route',
    '/',
    308,
    /308 to https:\/\/secure\.example\.com(:\d+)?\/a\?b\. NGINX answered 308\.$/,
  ],
  [
    'http://hand.example.org:PORT/',
    'hand_written',
    '/',
    204,
    /^A hand-written server block answers \(conf\.d\/hand\.conf, line 2\)/,
  ],
  ['http://a.b.wild.example.org:PORT/api', 'hand_written', '/api/', 301, /NGINX answered 301/],
  ['http://x.regex.example.org:PORT/y', 'hand_written', undefined, 301, /301 to https:\/\/x\.regex\.example\.org\/y/],
  [
    'http://unknown.example.net:PORT/',
    'shared',
    undefined,
    null,
    /^No server block has the name unknown\.example\.net: the connection is closed without an answer\.$/,
  ],
  ['http://plan.example.com:PORT/', 'shared', undefined, null, /A similar name: plain\.example\.com\.$/],
  [
    'https://tls.example.org:SECURE/',
    'hand_written',
    undefined,
    204,
    /^A hand-written server block answers \(conf\.d\/hand\.conf, line 6\): 204\. NGINX answered 204\./,
  ],
  // Without it there is no block of ours on the HTTPS port for unknown names.
  ...(REJECTS
    ? ([
        ['https://rejected.example.org:SECURE/', 'hand_written', undefined, null, /, and rejects the TLS handshake/],
        ['https://127.0.0.1:SECURE/', 'shared', undefined, null, /the TLS handshake is rejected/],
        ['https://unknown.example.net:SECURE/', 'shared', undefined, null, /: the TLS handshake is rejected\.$/],
        [
          'https://plain.example.com:SECURE/',
          'shared',
          undefined,
          null,
          /^Route plain has the name .* does not serve it over https/,
        ],
      ] as const)
    : []),
  ['http://127.0.0.1:PORT/', 'shared', undefined, null, /^No server block has the name 127\.0\.0\.1/],
] as const) {
  test(`${url} gets ${kind}, and NGINX agrees`, async ({ host }) => {
    const { httpPort, httpsPort } = host.nginx
    const explained = await explain(host, url.replace('PORT', String(httpPort)).replace('SECURE', String(httpsPort)))
    const { server_block: block, location, nginx, agrees, difference } = explained
    assert.equal([block.kind, location?.match, nginx?.status, agrees, difference], [kind, match, status, true, null])
    assert.match(explained.summary, summary)
    assert.is(explained.certificate?.fingerprint_sha256, nginx?.certificate_fingerprint ?? undefined)
  })
}

test('the certificate is named with its source', async ({ host }) => {
  const { httpsPort } = host.nginx
  const shown = ['secure.example.com', 'tls.example.org'].map(async (name) => {
    const { certificate } = await explain(host, `https://${name}:${httpsPort}/`)
    return [certificate?.domains, certificate?.source]
  })
  assert.equal(await Promise.all(shown), [
    [['secure.example.com'], 'uploaded'],
    [['tls.example.org'], 'hand_written'],
  ])
})

test('a port without NGINX is said', async ({ host }) => {
  const { summary, nginx } = await explain(host, `http://plain.example.com:${host.manager.port}/`)
  assert.match(summary, /^NGINX does not listen on port \d+; its ports are \d+ \(https?\), \d+ \(https?\)\.$/)
  assert.is(nginx, null)
})

test('a file that NGINX has not read yet is a difference', async ({ host }) => {
  const { httpPort: port, root } = host.nginx
  writeFileSync(join(root, 'conf.d/late.conf'), `server { listen ${port}; server_name late.example.org; return 204; }`)
  const { agrees, difference } = await explain(host, `http://late.example.org:${port}/`)
  assert.is(agrees, false)
  assert.match(difference ?? '', /: expected an answer, and the connection was closed without an answer/)
})

test('while NGINX is stopped, the block is named, and that the connection was refused', async ({ host }) => {
  await host.nginx.stop()
  const {
    server_block: block,
    agrees,
    difference,
  } = await explain(host, `http://plain.example.com:${host.nginx.httpPort}/`)
  assert.equal([block.kind, agrees], ['route', false])
  assert.match(difference ?? '', /the connection was refused: NGINX is not running/)
})

test.run()
