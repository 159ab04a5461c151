import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { createNginx, NGINX_BIN, type NginxInstance, testNginx } from '../../fixtures/nginx-instance.ts'
import { isAtLeast } from '../../lib/nginx/config/version.ts'
import { setUp } from '../helpers/system/set-up.ts'

const test = suite<{ nginx: NginxInstance }>('every golden server block, as this NGINX reads it')

const folder = new URL('../../fixtures/server-blocks/', import.meta.url).pathname
const names = readdirSync(folder).filter((name) => name.endsWith('.json'))
const Case = v.looseObject({
  route: v.optional(v.looseObject({ domain: v.string(), fingerprint_sha256: v.nullable(v.string()) })),
  host: v.looseObject({ nginxVersion: v.array(v.number()), opensslVersion: v.array(v.number()) }),
})

setUp(test, async (context, undo) => {
  context.nginx = await createNginx()
  undo(context.nginx.remove)
})

for (const name of names) {
  const golden = v.parse(Case, JSON.parse(readFileSync(join(folder, name), 'utf8')))
  const isReadable = canRead(golden.host)
  test(`${name.replace('.json', '')} is ${isReadable ? 'accepted' : 'for another NGINX, and refused'}`, ({ nginx }) => {
    const text = readFileSync(join(folder, name.replace('.json', '.conf')), 'utf8')
    const shared = golden.route === undefined ? '' : readFileSync(join(folder, 'shared-first.conf'), 'utf8')
    makeCertificate(nginx, golden.route)
    writeFileSync(join(nginx.sitesEnabled, 'golden.conf'), onThisMachine(shared + text, nginx))
    const { ok, output } = testNginx(nginx)
    rmSync(join(nginx.sitesEnabled, 'golden.conf'))
    assert.is(ok, isReadable, output)
    if (ok) assert.not.match(output, /\[warn\]|\[emerg\]/)
  })
}

test.run()

/** Addresses and directories of this machine, and free ports. */
function onThisMachine(text: string, nginx: NginxInstance): string {
  return text
    .replaceAll('10.0.0.1:80', '127.0.0.5:80')
    .replaceAll('[2001:db8::1]:443', '[::1]:443')
    .replace(
      /(listen (?:\[[^\]]*\]:|[\d.]+:)?)(\d+)/g,
      (_, listen: string, port: string) =>
        listen + (port === '80' || port === '8080' ? nginx.httpPort : nginx.httpsPort),
    )
    .replaceAll('/var/lib/proxy-manager', nginx.root)
}

function makeCertificate(nginx: NginxInstance, route: v.InferOutput<typeof Case>['route']): void {
  if (route === undefined || route.fingerprint_sha256 === null) return
  const place = join(nginx.root, 'certificates', route.domain, route.fingerprint_sha256)
  mkdirSync(place, { recursive: true })
  const files = ['-keyout', join(place, 'privkey.pem'), '-out', join(place, 'fullchain.pem')]
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  execFileSync('openssl', ['req', '-x509', ...key, ...files, '-days', '30', '-subj', `/CN=${route.domain}`], {
    stdio: 'ignore',
  })
}

/** `http2 on` is known from 1.25.1 and, as a parameter of `listen`, warned about; the post-quantum group needs OpenSSL 3.5. */
function canRead(host: v.InferOutput<typeof Case>['host']): boolean {
  const version = execFileSync('sh', ['-c', `"${NGINX_BIN}" -V 2>&1`]).toString()
  const installed = /nginx\/(\d+)\.(\d+)\.(\d+)/.exec(version)?.slice(1).map(Number) ?? []
  const openssl = /running with OpenSSL (\d+)\.(\d+)/.exec(version) ?? /built with OpenSSL (\d+)\.(\d+)/.exec(version)
  const isNewer = isAtLeast(host.nginxVersion, [1, 25, 1]) && !isAtLeast(installed, [1, 25, 1])
  return (
    !isNewer && !(isAtLeast(host.opensslVersion, [3, 5]) && !isAtLeast(openssl?.slice(1).map(Number) ?? [], [3, 5]))
  )
}
