import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkedFor, checkPair, isDueForRenewal, isLoadable } from '../../lib/certificates/certificate.ts'

const test = suite('certificate')

const DAY_MS = 86_400_000

interface Pair {
  readonly certificate: string
  readonly key: string
}

/** Certificates made with openssl in a folder that is gone afterwards. */
function makeCertificates() {
  const folder = mkdtempSync(join(tmpdir(), 'proxy-manager-certificates-'))
  const path = (name: string) => join(folder, name)
  const openssl = (...args: string[]) =>
    execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const read = (name: string): Pair => ({
    certificate: readFileSync(path(`${name}.pem`), 'utf8'),
    key: readFileSync(path(`${name}.key`), 'utf8'),
  })
  const selfSigned = (name: string, ...options: string[]): Pair => {
    const files = ['-keyout', `${name}.key`, '-out', `${name}.pem`]
    openssl('req', '-x509', ...newKey, ...files, '-days', '9', '-subj', `/CN=${name}`, ...options)
    return read(name)
  }
  const signed = (name: string, issuer: string, extensions: string): Pair => {
    writeFileSync(path(`${name}.ext`), extensions)
    openssl('req', '-new', ...newKey, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/O=Test/CN=${name}`)
    const from = ['-CA', `${issuer}.pem`, '-CAkey', `${issuer}.key`, '-CAcreateserial', '-extfile', `${name}.ext`]
    openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.pem`, '-days', '6', ...from)
    return read(name)
  }
  // Without it, an issuer is identified by its name alone, and only the signature distinguishes two of the same name.
  const anyIssuer = 'authorityKeyIdentifier=none\n'
  try {
    return {
      root: selfSigned('root'),
      namesake: selfSigned('namesake', '-subj', '/O=Test/CN=intermediate'),
      intermediate: signed('intermediate', 'root', 'basicConstraints=critical,CA:TRUE\n'),
      leaf: signed(
        'leaf',
        'intermediate',
        `subjectAltName=DNS:app.example.com,DNS:*.wild.example,IP:10.0.0.1\n${anyIssuer}`,
      ),
      other: signed('other', 'intermediate', 'subjectAltName=DNS:other.example.com\n'),
      onlyCommonName: selfSigned('app.example.com'),
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const { root, namesake, intermediate, leaf, other, onlyCommonName } = makeCertificates()
const chain = leaf.certificate + intermediate.certificate
const now = Date.now()

function faultOf(fullchain: string, key: string, domain = 'app.example.com', nowMs = now): string | undefined {
  const checked = checkedFor(checkPair(fullchain, key, nowMs), domain)
  return 'fault' in checked ? checked.fault : undefined
}

test('a certificate that covers the name, is valid and matches its key is accepted, with both texts', () => {
  const checked = checkPair(chain, leaf.key, now)
  if ('fault' in checked) throw new Error(checked.fault)
  assert.is(checked.fullchain, chain)
  assert.is(checked.privkey, leaf.key)
  const parsed = new X509Certificate(leaf.certificate)
  assert.equal(checked.summary, {
    issuer: 'O=Test, CN=intermediate',
    not_before: parsed.validFromDate.toISOString(),
    expiry: parsed.validToDate.toISOString(),
    domains: ['app.example.com', '*.wild.example'],
    serial: parsed.serialNumber.toLowerCase(),
    fingerprint_sha256: parsed.fingerprint256.replaceAll(':', '').toLowerCase(),
  })
  assert.match(checked.summary.fingerprint_sha256, /^[0-9a-f]{64}$/)
})

test('a chain may end before its root, with it, or after the leaf', () => {
  assert.is(faultOf(leaf.certificate, leaf.key), undefined)
  assert.is(faultOf(chain, leaf.key), undefined)
  assert.is(faultOf(chain + root.certificate, leaf.key), undefined)
  assert.is(faultOf(`subject=leaf\n${chain.replaceAll('\n', '\r\n')}`, leaf.key), undefined)
})

test('a wildcard covers one label only', () => {
  assert.is(faultOf(chain, leaf.key, 'a.wild.example'), undefined)
  for (const domain of ['a.b.wild.example', 'wild.example', 'awild.example'])
    assert.is(faultOf(chain, leaf.key, domain), 'the certificate is for another name', domain)
})

test('a certificate for another name is rejected', () => {
  const another = 'the certificate is for another name'
  assert.is(faultOf(other.certificate + intermediate.certificate, other.key), another)
  for (const domain of ['example.com', 'app.example.com.evil.test', 'xapp.example.com', '10.0.0.1', 'leaf'])
    assert.is(faultOf(chain, leaf.key, domain), another, domain)
})

test('a common name without a subject alternative name covers nothing, as in every browser', () => {
  assert.is(faultOf(onlyCommonName.certificate, onlyCommonName.key), 'the certificate is for another name')
})

test('a certificate is valid from its first second until its last', () => {
  const { validFromDate, validToDate } = new X509Certificate(leaf.certificate)
  const at = (ms: number) => faultOf(chain, leaf.key, 'app.example.com', ms)
  assert.is(at(validFromDate.getTime() - 1), 'the certificate is not valid yet')
  assert.is(at(validFromDate.getTime()), undefined)
  assert.is(at(validToDate.getTime() - 1), undefined)
  assert.is(at(validToDate.getTime()), 'the certificate has expired')
})

test('the key of another certificate is rejected', () => {
  assert.is(faultOf(chain, other.key), 'the private key belongs to another certificate')
})

test('a chain in the wrong order, or of another CA of the same name, is rejected', () => {
  const broken = 'the certificates of the chain do not sign one another'
  assert.is(faultOf(leaf.certificate + root.certificate, leaf.key), broken)
  assert.is(faultOf(leaf.certificate + namesake.certificate, leaf.key), broken)
  assert.is(faultOf(leaf.certificate + other.certificate, leaf.key), broken)
  assert.is(faultOf(chain + leaf.certificate, leaf.key), broken)
})

test('a file that is not a certificate or key is rejected with a message that contains nothing of it', () => {
  const unreadable = 'the certificate or its key cannot be read'
  assert.is(faultOf('', leaf.key), 'the certificate file contains no certificate')
  assert.is(faultOf(leaf.key, leaf.key), 'the certificate file contains no certificate')
  const torn = leaf.certificate.slice(0, leaf.certificate.length / 2)
  assert.is(faultOf(torn, leaf.key), unreadable)
  assert.is(faultOf('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----', leaf.key), unreadable)
  for (const key of ['', 'garbage', leaf.certificate, leaf.key.slice(0, 60)]) assert.is(faultOf(chain, key), unreadable)
})

test('a certificate of 90 or of 6 days is due once less than a third of its lifetime is left', () => {
  for (const days of [90, 45, 6]) {
    const from = Date.parse('2026-01-01T00:00:00.000Z')
    const to = from + days * DAY_MS
    const certificate = { not_before: new Date(from).toISOString(), expiry: new Date(to).toISOString() }
    const turn = to - (days * DAY_MS) / 3
    assert.not.ok(isDueForRenewal(certificate, from), `${days} days`)
    assert.not.ok(isDueForRenewal(certificate, turn), `${days} days`)
    assert.ok(isDueForRenewal(certificate, turn + 1), `${days} days`)
    assert.ok(isDueForRenewal(certificate, to + DAY_MS), `${days} days`)
  }
})

test('a truncated file is rejected, as by NGINX', () => {
  for (const cut of [chain.slice(0, -20), chain.slice(0, chain.lastIndexOf('-----BEGIN') + 40)])
    assert.is(faultOf(cut, leaf.key), 'the certificate or its key cannot be read')
})

test('a copy can be loaded if its certificate has that fingerprint, its key matches, and nothing is truncated', () => {
  const fingerprint = new X509Certificate(leaf.certificate).fingerprint256.replaceAll(':', '').toLowerCase()
  assert.ok(isLoadable(chain, leaf.key, fingerprint))
  assert.not.ok(isLoadable(other.certificate + intermediate.certificate, other.key, fingerprint))
  assert.not.ok(isLoadable(chain, other.key, fingerprint))
  assert.not.ok(isLoadable(chain, leaf.key.slice(0, 60), fingerprint))
  assert.not.ok(isLoadable(chain.slice(0, -20), leaf.key, fingerprint))
  assert.not.ok(isLoadable('', leaf.key, fingerprint))
})

test.run()
