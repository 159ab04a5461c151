import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { createNginx, installedBuild, type NginxInstance, testNginx } from '../../fixtures/nginx-instance.ts'
import { isAtLeast } from '../../lib/nginx/config/version.ts'
import { hasModule } from '../../lib/render/context.ts'
import { setUp } from '../helpers/system/set-up.ts'

const test = suite<{ nginx: NginxInstance }>('every golden server block, as this NGINX reads it')

const folder = fileURLToPath(new URL('../../fixtures/server-blocks/', import.meta.url))
const names = readdirSync(folder).filter((name) => name.endsWith('.json'))
const Case = v.looseObject({
  route: v.optional(v.looseObject({ domain: v.string(), fingerprint_sha256: v.nullable(v.string()) })),
  mounts: v.optional(v.array(v.looseObject({ droplet_name: v.string() })), []),
})

const installed = installedBuild()

setUp(test, async (context, undo) => {
  context.nginx = await createNginx()
  undo(context.nginx.remove)
})

for (const name of names) {
  const golden = v.parse(Case, JSON.parse(readFileSync(join(folder, name), 'utf8')))
  const own = readFileSync(join(folder, name.replace('.json', '.conf')), 'utf8')
  const shared = own.includes('$proxy_manager_forwarded') ? 'shared-trusted-proxies.conf' : 'shared-first.conf'
  const text =
    (golden.route === undefined ? '' : readFileSync(join(folder, shared), 'utf8')) + own + upstreamsOf(golden)
  const isReadable = canRead(text)
  test(`${name.replace('.json', '')} is ${isReadable ? 'accepted' : 'for another NGINX, and refused'}`, ({ nginx }) => {
    makeCertificate(nginx, golden.route)
    writeFileSync(join(nginx.sitesEnabled, 'golden.conf'), onThisMachine(text, nginx))
    const { ok, output } = testNginx(nginx)
    rmSync(join(nginx.sitesEnabled, 'golden.conf'))
    assert.is(ok, isReadable, output)
    if (ok) assert.not.match(output, isOutdated(text) ? /\[emerg\]/ : /\[warn\]|\[emerg\]/)
  })
}

test.run()

/** What the files of the mounts of a golden would have. */
function upstreamsOf({ mounts }: v.InferOutput<typeof Case>): string {
  return mounts.map(({ droplet_name: name }) => `upstream fpai_${name} {\n    server 127.0.0.1:8001;\n}\n`).join('')
}

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

/** Whether this NGINX and its OpenSSL know everything in a text. */
function canRead(text: string): boolean {
  const isKnown = (what: string, version: readonly number[], since: readonly number[]) =>
    !text.includes(what) || isAtLeast(version, since)
  return (
    (hasModule(installed, 'geo') || !/^geo /m.test(text)) &&
    isKnown('ssl_reject_handshake', installed.version, [1, 19, 4]) &&
    isKnown('http2 on', installed.version, [1, 25, 1]) &&
    isKnown(' resolve;', installed.version, [1, 27, 3]) &&
    isKnown('keepalive_min_timeout', installed.version, [1, 27, 4]) &&
    isKnown(' resolve ', installed.version, [1, 27, 3]) &&
    isKnown('keepalive 0', installed.version, [1, 29, 7]) &&
    isKnown('X25519MLKEM768', installed.openssl, [3, 5])
  )
}

/** Whether a text has what this NGINX only warns of, since it is for an older one. */
function isOutdated(text: string): boolean {
  return isAtLeast(installed.version, [1, 25, 1]) && / http2( default_server)?;/.test(text)
}
