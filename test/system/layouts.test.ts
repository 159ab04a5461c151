import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { NGINX_BIN } from '../../fixtures/nginx-instance.ts'
import { call, putRoute, type RealHost, startHost, through } from '../helpers/system/host.ts'
import { setUpEach } from '../helpers/system/set-up.ts'

const test = suite<{ host: RealHost; port: number }>('builds and layouts of NGINX')

setUpEach(test, async (context, undo) => {
  context.host = await startHost()
  undo(() => context.host.close())
  context.port = (await context.host.droplet('app')).port
})

async function assertServes(host: RealHost, port: number, name = 'app'): Promise<void> {
  const made = await putRoute(host.manager, name, `${name}.example.com`, port)
  assert.is(made.status, 201, JSON.stringify(made.body))
  assert.is(made.body.receipt?.proved_by, 'generation_probe')
  assert.match(await through(host.nginx.httpPort, `${name}.example.com`), 'app')
}

test('sites-enabled is included through a symlink, with doubled slashes and dots', async ({ host, port }) => {
  const { conf, root, sitesEnabled } = host.nginx
  symlinkSync(sitesEnabled, join(root, 'linked'))
  const text = readFileSync(conf, 'utf8')
  for (const [i, folder] of [join(root, 'linked'), `${root}//./sites-enabled`].entries()) {
    writeFileSync(conf, text.replace(`include ${sitesEnabled}/*;`, `include ${folder}/*;`))
    await assertServes(host, port, `app-${i}`)
  }
})

test('a route whose file was moved into sites-enabled is served on, and replaced and removed like any other', async ({
  host,
  port,
}) => {
  const { sitesAvailable, sitesEnabled, httpPort, masterPid } = host.nginx
  await assertServes(host, port)
  const [file, link] = [join(sitesAvailable, 'fpai-app.conf'), join(sitesEnabled, 'fpai-app.conf')]
  renameSync(file, link)
  process.kill(masterPid ?? 0, 'SIGHUP')
  assert.is((await call(host.manager, 'GET', '/proxies/app')).body.status, 'drifted')
  assert.is((await putRoute(host.manager, 'other', 'app.example.com', port)).status, 409)
  assert.is((await putRoute(host.manager, 'app', 'app.example.com', port)).status, 200)
  assert.is(readlinkSync(link), file)
  renameSync(file, link)
  assert.is((await call(host.manager, 'DELETE', '/proxies/app')).status, 200)
  assert.not.ok(existsSync(link) || existsSync(file))
  assert.not.match(await through(httpPort, 'app.example.com').catch(() => ''), 'app')
})

test('hand-written files with glob characters, or with bytes that are no UTF-8, keep being served', async ({
  host,
  port,
}) => {
  const { sitesEnabled, httpPort } = host.nginx
  const site = (name: string) => `server { listen ${httpPort}; server_name ${name}; return 200 ${name}; }\n`
  writeFileSync(join(sitesEnabled, 'a[1]*.conf'), site('glob.example.com'))
  writeFileSync(Buffer.concat([Buffer.from(join(sitesEnabled, 'caf')), Buffer.from([0xe9])]), site('latin.example.com'))
  await assertServes(host, port)
  for (const name of ['glob.example.com', 'latin.example.com']) {
    assert.is(await through(httpPort, name), name)
    const taken = await putRoute(host.manager, 'other', name, port)
    assert.ok(taken.status >= 400, `${name} is taken`)
  }
})

test('a hash size of the host that is too small is its fault, and the remedy names the directive', async ({
  host,
  port,
}) => {
  const { conf } = host.nginx
  writeFileSync(conf, readFileSync(conf, 'utf8').replace('http {', 'http {\n    server_names_hash_bucket_size 64;'))
  const { status, body } = await putRoute(host.manager, 'app', `${'x'.repeat(60)}.example.com`, port)
  assert.is(status, 500)
  assert.is(body.error?.details.culprit, 'host')
  assert.match(String(body.error?.details.remedy), /^Raise server_names_hash_bucket_size /)
})

test('without HTTP/2 in the build HTTPS is refused, and HTTP is served', async ({ port }) => {
  // Says what a build without the module says, and is Debian's otherwise.
  const folder = mkdtempSync(join(tmpdir(), 'proxy-manager-build-'))
  const wrapper = join(folder, 'nginx-without-v2')
  const version = `"${NGINX_BIN}" -V 2>&1 | sed 's/ --with-http_v2_module//' >&2`
  writeFileSync(wrapper, `#!/bin/sh\nif [ "$1" = -V ]; then ${version}; exit; fi\nexec "${NGINX_BIN}" "$@"\n`)
  chmodSync(wrapper, 0o755)
  const host = await startHost({}, { NGINX_BIN: wrapper })
  try {
    const { manager } = host
    const health = await call(manager, 'GET', '/proxy-manager/health')
    assert.not.match(JSON.stringify(health.body.advice), 'restart NGINX')
    const refused = await putRoute(manager, 'app', 'app.example.com', port, { enable_ssl: true })
    assert.equal([refused.status, refused.body.error?.code], [422, 'NGINX_UNSUPPORTED'])
    assert.is((await putRoute(manager, 'app', 'app.example.com', port)).status, 201)
    const order = await call(manager, 'POST', '/proxies/app/ssl')
    assert.equal([order.status, order.body.error?.details.culprit], [422, 'host'])
  } finally {
    await host.close()
    rmSync(folder, { recursive: true })
  }
})

test('once the binary of the running NGINX was replaced, changes work and health advises the restart', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'proxy-manager-binary-'))
  const binary = join(folder, 'nginx')
  copyFileSync(NGINX_BIN, binary)
  const host = await startHost({ binary })
  try {
    copyFileSync(NGINX_BIN, `${binary}.new`)
    renameSync(`${binary}.new`, binary)
    await assertServes(host, (await host.droplet('app')).port)
    const { body } = await call(host.manager, 'GET', '/proxy-manager/health')
    assert.match(JSON.stringify(body.advice), 'its binary was replaced')
  } finally {
    await host.close()
    rmSync(folder, { recursive: true })
  }
})

test.run()
