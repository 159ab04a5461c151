import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { FakeDeps } from '../../fixtures/deps.ts'
import { ACCEPTED, refusal, refused, writeAt } from '../helpers/arrange.ts'
import { certificateFor, putLineage, putSecure, STATE } from '../helpers/certbot.ts'
import { assertInvariant, put, worldWithRoute } from '../helpers/world.ts'

const test = suite('incremental-test')

const DOMAIN = 'tls.example.com'
const CERTIFICATE = certificateFor(DOMAIN)
const COPY = `${STATE}/certificates/${DOMAIN}/${CERTIFICATE.fingerprint}`
const OLD = 'upstream fpai_old'
const TLS = `ssl_certificate ${COPY}/fullchain.pem`

/** A host with an HTTP and an HTTPS route, both of which NGINX has accepted; `tested` collects the configurations that it tests from now on. */
async function accepted(): Promise<{ readonly deps: FakeDeps; readonly tested: string[] }> {
  const deps = await worldWithRoute()
  putLineage(deps.disk, DOMAIN, CERTIFICATE)
  await putSecure(deps, 'tls', DOMAIN)
  await put(deps, 'other', 'other.example.com', 8003)
  await deps.engine.idle()
  const tested: string[] = []
  deps.nginx.judge = (texts) => {
    tested.push([...texts].join(''))
    return ACCEPTED
  }
  return { deps, tested }
}

test('of a route that NGINX has accepted, and nobody has touched since, only its names are tested', async () => {
  const { deps, tested } = await accepted()
  await put(deps, 'app', 'app.example.com', 8002)
  assert.is(tested.length, 1)
  const [text = ''] = tested
  assert.match(text, 'upstream fpai_app')
  for (const name of ['old.example.com', DOMAIN]) assert.match(text, `server_name ${name};`)
  for (const skipped of [OLD, TLS]) assert.not.match(text, skipped)
  // `other` was a change when it was tested, and is loaded once more.
  assert.match(text, 'upstream fpai_other')
  await deps.engine.idle()
  assertInvariant(deps)
})

test('a change of a route is tested with its certificate, whether that was accepted before or not', async () => {
  const { deps, tested } = await accepted()
  const spec = {
    domain: DOMAIN,
    upstream_host: 'localhost',
    upstream_port: 8009,
    require_healthy: false,
    enable_ssl: true,
  }
  await deps.engine.putProxy({ dropletName: 'tls', spec, mode: 'replace', precondition: {} })
  assert.match(tested[0] ?? '', TLS)
  assert.not.match(tested[0] ?? '', OLD)
})

const TOUCHED: Readonly<Record<string, (deps: FakeDeps) => void>> = {
  'NGINX itself': ({ disk }) => writeAt(disk, '/usr/sbin/nginx', 'another build'),
  'the main configuration': ({ disk }) => {
    const main = disk.get('/etc/nginx/nginx.conf')
    if (main?.kind === 'file') writeAt(disk, '/etc/nginx/nginx.conf', `${main.file.text}\n# edited\n`)
  },
  'a new file of the host': ({ disk }) => writeAt(disk, '/etc/nginx/conf.d/new.conf', 'proxy_buffers 4 4k;'),
}
for (const [what, touch] of Object.entries(TOUCHED)) {
  test(`after a change of ${what} everything is tested again`, async () => {
    const { deps, tested } = await accepted()
    touch(deps)
    await put(deps, 'app', 'app.example.com', 8002)
    for (const loaded of [OLD, TLS]) assert.match(tested[0] ?? '', loaded)
    await put(deps, 'app', 'app.example.com', 8004)
    for (const skipped of [OLD, TLS]) assert.not.match(tested[1] ?? '', skipped)
  })
}

test('only a certificate whose copy was touched is loaded again', async () => {
  for (const name of ['fullchain.pem', 'privkey.pem']) {
    const { deps, tested } = await accepted()
    writeAt(deps.disk, `${COPY}/${name}`, 'torn', 0o600)
    await put(deps, 'app', 'app.example.com', 8002)
    assert.match(tested[0] ?? '', TLS)
    assert.not.match(tested[0] ?? '', OLD)
  }
})

test('an NGINX without ssl_reject_handshake loads certificates each time', async () => {
  const { deps, tested } = await accepted()
  deps.nginx.version = deps.nginx.version.replace('nginx/1.22.1', 'nginx/1.18.0')
  writeAt(deps.disk, '/usr/sbin/nginx', 'an older build')
  await put(deps, 'app', 'app.example.com', 8002)
  await put(deps, 'app', 'app.example.com', 8004)
  assert.match(tested[1] ?? '', TLS)
  assert.not.match(tested[1] ?? '', OLD)
})

test('a refusal that names no file of the change is tested again with everything loaded', async () => {
  const { deps, tested } = await accepted()
  deps.nginx.judge = (texts) => {
    const text = [...texts].join('')
    tested.push(text)
    return text.includes(OLD) ? ACCEPTED : refused('accepted.conf', 3, 'could not build server_names_hash')
  }
  await put(deps, 'app', 'app.example.com', 8002)
  assert.is(tested.length, 2)
  assert.match(tested[1] ?? '', TLS)
})

test('a refusal that names a file of the change is final: one test of the change, one of the host without it', async () => {
  const { deps, tested } = await accepted()
  deps.nginx.judge = (texts) => {
    const text = [...texts].join('')
    tested.push(text)
    return text.includes('fpai_app') ? refused('fpai-app.conf', 3, 'unknown directive "x"') : ACCEPTED
  }
  await refusal(put(deps, 'app', 'app.example.com', 8002), 'PROXY_CONFIG_FAILED')
  assert.equal(
    tested.map((text) => [text.includes(OLD), text.includes('fpai_app')]),
    [
      [false, true],
      [true, false],
    ],
  )
})

test.run()
