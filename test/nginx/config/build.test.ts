import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { commonBuild, parseBuild, unusableModules } from '../../../lib/nginx/config/build.ts'

const test = suite('nginx-build')

const DEBIAN_11 = `nginx version: nginx/1.18.0
built with OpenSSL 1.1.1w  11 Sep 2023
TLS SNI support enabled
configure arguments: --with-cc-opt='-g -O2 -ffile-prefix-map=/build/nginx-1.18.0=.' --prefix=/usr/share/nginx --conf-path=/etc/nginx/nginx.conf --error-log-path=/var/log/nginx/error.log --pid-path=/run/nginx.pid --with-http_ssl_module --with-http_stub_status_module --with-http_realip_module --with-http_v2_module --without-http_geo_module`

const from = (options: string, version = 'nginx version: nginx/1.26.3\nbuilt with OpenSSL 3.5.1') =>
  parseBuild(`${version}\nconfigure arguments: ${options}`)

test("Debian 11's nginx-light lacks only the geo module", () => {
  assert.equal(parseBuild(DEBIAN_11), {
    isAngie: false,
    versionText: '1.18.0',
    version: [1, 18, 0],
    openssl: [1, 1],
    missingModules: ['geo'],
    dynamicModules: [],
    confPath: '/etc/nginx/nginx.conf',
    pidPath: '/run/nginx.pid',
    errorLogPath: '/var/log/nginx/error.log',
    prefix: '/usr/share/nginx',
  })
})

test("built with a prefix alone, or with nothing, NGINX's defaults are below the prefix", () => {
  const paths = (options: string) => {
    const { confPath, pidPath, errorLogPath } = from(options)
    return [confPath, pidPath, errorLogPath]
  }
  const below = (prefix: string) => [
    `${prefix}/conf/nginx.conf`,
    `${prefix}/logs/nginx.pid`,
    `${prefix}/logs/error.log`,
  ]
  assert.equal(paths('--prefix=/opt/nginx'), below('/opt/nginx'))
  assert.equal(paths('--prefix=/opt/nginx/'), below('/opt/nginx'))
  assert.equal(paths("--prefix='/opt/my nginx' --with-debug"), below('/opt/my nginx'))
  assert.equal(paths(''), below('/usr/local/nginx'))
  assert.equal(paths('--prefix=/p --conf-path=etc/n.conf --pid-path=/run/n.pid --error-log-path=stderr'), [
    '/p/etc/n.conf',
    '/run/n.pid',
    'stderr',
  ])
})

test('without configure arguments no path is known, and no module counts as missing but the optional one', () => {
  const { confPath, pidPath, errorLogPath, missingModules } = parseBuild('nginx version: nginx/1.22.1')
  assert.equal([confPath, pidPath, errorLogPath, missingModules], [undefined, undefined, undefined, ['stub_status']])
  assert.is(parseBuild('').versionText, null)
})

test('missing are modules that were left out, and those that were not asked for', () => {
  assert.equal(from('').missingModules, ['realip', 'ssl', 'stub_status', 'v2'])
  const asked = '--with-http_ssl_module --with-http_v2_module --with-http_realip_module --with-http_stub_status_module'
  assert.equal(from(asked).missingModules, [])
  assert.equal(from(`${asked} --without-http_map_module --without-http_upstream_keepalive_module`).missingModules, [
    'map',
    'upstream_keepalive',
  ])
  assert.equal(from(`${asked} --without-http`).missingModules.length, 13)
})

test('a dynamic module can be used if the configuration loads it', () => {
  const build = from('--with-http_ssl_module --with-http_v2_module --with-http_realip_module=dynamic')
  assert.equal(build.missingModules, ['stub_status'])
  assert.equal(unusableModules(build, new Set()), ['stub_status', 'realip'])
  assert.equal(unusableModules(build, new Set(['ngx_http_realip_module'])), ['stub_status'])
})

test('forks and distributions give their own version line', () => {
  const versionOf = (line: string) => parseBuild(line).versionText
  assert.is(versionOf('nginx version: openresty/1.25.3.1'), '1.25.3')
  assert.is(versionOf('freenginx version: freenginx/1.27.2'), '1.27.2')
  assert.is(versionOf('Tengine version: Tengine/3.2.0\nnginx version: nginx/1.26.3'), '1.26.3')
  assert.ok(parseBuild('Angie version: Angie/1.8.0').isAngie)
})

test('what two builds have in common is the older version, and only modules of both', () => {
  const old = from('--prefix=/old --with-http_ssl_module', 'nginx version: nginx/1.22.1\nbuilt with OpenSSL 3.0.2')
  const young = from('--prefix=/new --without-http_map_module --with-http_ssl_module')
  for (const [a, b] of [
    [old, young],
    [young, old],
  ] as const) {
    const both = commonBuild(a, b)
    assert.equal([both.version, both.openssl, both.prefix], [[1, 22, 1], [3, 0], a.prefix])
    assert.equal([...both.missingModules].sort(), ['map', 'realip', 'stub_status', 'v2'])
  }
})

test.run()
