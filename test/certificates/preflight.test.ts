import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import type { CaaRecord } from '../../lib/adapters/network.ts'
import type { ProbeRequest } from '../../lib/adapters/probe.ts'
import { type PreflightCheck, runPreflight } from '../../lib/certificates/preflight.ts'
import { CHALLENGES, putSecure } from '../helpers/certbot.ts'

const test = suite('preflight')

const DOMAIN = 'app.example.com'

/** A host with a route for the domain, whose name leads to these addresses. */
async function world(
  addresses: readonly string[] = ['192.0.2.10'],
  settings: Readonly<Record<string, string>> = {},
): Promise<FakeDeps> {
  const deps = await fakeDeps({ settings })
  await putSecure(deps, 'app', DOMAIN)
  deps.names.hosts.set(DOMAIN, addresses)
  deps.names.dns.set(DOMAIN, addresses)
  return deps
}

async function look(deps: FakeDeps, check: PreflightCheck['check']): Promise<readonly (readonly [boolean, string])[]> {
  const found = await runPreflight(deps.host, [DOMAIN])
  return found.filter((one) => one.check === check).map(({ ok, detail }) => [ok, detail])
}

test('a name that resolves, serves the challenge and is permitted by CAA passes, in this order', async () => {
  const deps = await world(['192.0.2.10', '2001:db8::10'])
  assert.equal(await runPreflight(deps.host, [DOMAIN]), [
    { check: 'dns', domain: DOMAIN, ok: true, detail: `${DOMAIN} resolves to 192.0.2.10, 2001:db8::10` },
    {
      check: 'challenge',
      domain: DOMAIN,
      ok: true,
      detail: 'a file under the challenge path, requested at 192.0.2.10: served',
    },
    {
      check: 'challenge',
      domain: DOMAIN,
      ok: true,
      detail: 'a file under the challenge path, requested at 2001:db8::10: served',
    },
    { check: 'caa', domain: DOMAIN, ok: true, detail: 'no CAA records' },
  ])
})

test('a name without an address fails, and no file is written for it', async () => {
  const deps = await world([])
  assert.equal(await runPreflight(deps.host, [DOMAIN]), [
    { check: 'dns', domain: DOMAIN, ok: false, detail: `${DOMAIN} does not resolve` },
    { check: 'caa', domain: DOMAIN, ok: true, detail: 'no CAA records' },
  ])
  assert.not.ok(deps.disk.has(CHALLENGES))
})

test('that a name does not resolve is certain if DNS says so for both kinds of addresses, and not if it does not answer', async () => {
  for (const [codes, detail, certain] of [
    [['ENOTFOUND', 'ENOTFOUND'], ': NXDOMAIN', true],
    [['ENODATA', 'ENODATA'], ': no A or AAAA record', true],
    [['ESERVFAIL', 'ENODATA'], ': SERVFAIL', true],
    [['ENOTFOUND', 'ETIMEOUT'], '', undefined],
    [['ETIMEOUT', 'ETIMEOUT'], '', undefined],
    [['EREFUSED', 'EREFUSED'], '', undefined],
    [[], '', undefined],
  ] as const) {
    const deps = await world([])
    deps.names.denied.set(DOMAIN, codes)
    const [found] = await runPreflight(deps.host, [DOMAIN])
    assert.equal([found?.ok, found?.detail, found?.certain], [false, `${DOMAIN} does not resolve${detail}`, certain])
  }
})

test('CAA records that do not allow the CA are certain; a challenge that fails from here, and CAA that cannot be queried, are not', async () => {
  for (const [records, certain] of [
    [[{ tag: 'issue', value: ';' }], true],
    [undefined, undefined],
  ] as const) {
    const deps = await world(['192.0.2.66'])
    deps.host.probe.get = async () => ({ failure: 'ETIMEDOUT' })
    deps.host.network.caaRecords = async () => records
    assert.equal(
      (await runPreflight(deps.host, [DOMAIN])).map((one) => [one.check, one.ok, one.certain]),
      [
        ['dns', true, undefined],
        ['challenge', false, undefined],
        ['caa', false, certain],
      ],
    )
  }
})

test('the challenge file is served from the webroot, under the domain, and removed afterwards', async () => {
  const deps = await world()
  const asked: ProbeRequest[] = []
  const { get } = deps.host.probe
  deps.host.probe.get = async (request) => {
    asked.push(request)
    assert.equal(deps.host.files.list(CHALLENGES), [request.path.slice(request.path.lastIndexOf('/') + 1)])
    return await get(request)
  }
  await runPreflight(deps.host, [DOMAIN])
  const [{ path, ...request } = { path: '' }] = asked
  assert.equal(request, { address: '192.0.2.10', port: 80, host: DOMAIN, timeoutMs: 3000 })
  assert.match(path, /^\/\.well-known\/acme-challenge\/proxy-manager-id-\d+$/)
  assert.equal(deps.host.files.list(CHALLENGES), [])
})

test('each address is checked: one that leads elsewhere fails, and is named', async () => {
  const deps = await world(['192.0.2.10', '2001:db8::bad', '192.0.2.66', '192.0.2.77'])
  const { get } = deps.host.probe
  deps.host.probe.get = async (request) => {
    if (request.address === '2001:db8::bad') return { failure: 'ECONNREFUSED' }
    if (request.address === '192.0.2.66') return { status: 404, body: 'not found' }
    return request.address === '192.0.2.77' ? { status: 200, body: 'parked' } : await get(request)
  }
  const at = (address: string, result: string) => `a file under the challenge path, requested at ${address}: ${result}`
  assert.equal(await look(deps, 'challenge'), [
    [true, at('192.0.2.10', 'served')],
    [false, at('2001:db8::bad', 'ECONNREFUSED')],
    [false, at('192.0.2.66', 'status 404 with another content')],
    [false, at('192.0.2.77', 'status 200 with another content')],
  ])
})

test('a domain that NGINX does not serve fails', async () => {
  const deps = await world()
  await deps.engine.deleteProxy({ dropletName: 'app', precondition: {}, deleteCertificate: false })
  const [[ok] = [true]] = await look(deps, 'challenge')
  assert.not.ok(ok)
})

test('a webroot that cannot be written is the reason given, and nothing is left behind', async () => {
  const deps = await world()
  await deps.engine.idle()
  for (let at = 0; at < 2; at++) {
    deps.effects.arrange({ at, kind: 'error', code: 'EROFS' })
    assert.equal(await look(deps, 'challenge'), [[false, 'the webroot cannot be written (EROFS)']])
  }
  deps.effects.arrange(undefined)
  assert.equal(deps.host.files.list(CHALLENGES), [])
})

test("configured resolvers are used instead of the system's, with a port and a time limit", async () => {
  const deps = await world(['192.0.2.10'], { DNS_SERVERS: '192.0.2.53,[2001:db8::53]:5353' })
  const asked: unknown[] = []
  deps.host.network.query = async (...request) => {
    asked.push(request)
    return ['192.0.2.20']
  }
  deps.host.network.caaRecords = async (...request) => {
    asked.push(request)
    return []
  }
  assert.equal(await look(deps, 'dns'), [[true, `${DOMAIN} resolves to 192.0.2.20`]])
  const servers = ['192.0.2.53:53', '[2001:db8::53]:5353']
  assert.equal(asked, [
    [DOMAIN, servers, 5000],
    [DOMAIN, servers, 5000],
    ['example.com', servers, 5000],
  ])
})

interface CaaCase {
  /** By name, each `issue` or another property's tag, and its value. */
  readonly records: Readonly<Record<string, readonly string[] | undefined>>
  readonly ok: boolean
  readonly detail: string
  readonly directory?: string
}

const toRecord = (text: string): CaaRecord => {
  const [tag = '', ...value] = text.split(' ')
  return { tag, value: value.join(' ') }
}

const CAA: Readonly<Record<string, CaaCase>> = {
  'records of another CA': {
    records: { [DOMAIN]: ['issue ca.example'] },
    ok: false,
    detail: `the CAA records of ${DOMAIN} allow ca.example`,
  },
  "records that name Let's Encrypt among others": {
    records: { [DOMAIN]: ['issue ca.example', 'issue letsencrypt.org'] },
    ok: true,
    detail: `the CAA records of ${DOMAIN} allow ca.example, letsencrypt.org`,
  },
  'a record with parameters': {
    records: { [DOMAIN]: ['issue letsencrypt.org; validationmethods=http-01'] },
    ok: true,
    detail: `the CAA records of ${DOMAIN} allow letsencrypt.org`,
  },
  'a record that allows no CA': {
    records: { [DOMAIN]: ['issue ;'] },
    ok: false,
    detail: `the CAA records of ${DOMAIN} allow no CA`,
  },
  "the parent's records, if the name has none": {
    records: { 'example.com': ['issue ca.example'] },
    ok: false,
    detail: 'the CAA records of example.com allow ca.example',
  },
  "the name's own records before its parent's": {
    records: { [DOMAIN]: ['issue letsencrypt.org'], 'example.com': ['issue ;'] },
    ok: true,
    detail: `the CAA records of ${DOMAIN} allow letsencrypt.org`,
  },
  'records that name no issuer: any CA may, whatever the parent says': {
    records: { [DOMAIN]: ['iodef mailto:a@example.com', 'issuewild ;'], 'example.com': ['issue ca.example'] },
    ok: true,
    detail: `the CAA records of ${DOMAIN} allow any CA`,
  },
  'an issuer in upper case': {
    records: { [DOMAIN]: ['issue LetsEncrypt.org'] },
    ok: true,
    detail: `the CAA records of ${DOMAIN} allow letsencrypt.org`,
  },
  'records that cannot be queried': {
    records: { 'example.com': undefined },
    ok: false,
    detail: 'the CAA records of example.com cannot be queried: a CA rejects the order then',
  },
  'another CA, whose name in CAA records is not known': {
    records: { [DOMAIN]: ['issue ca.example'] },
    ok: true,
    detail: `the CAA records of ${DOMAIN} allow ca.example`,
    directory: 'https://acme.ca.example/dir',
  },
  'another CA, and records that allow none': {
    records: { [DOMAIN]: ['issue ;'] },
    ok: false,
    detail: `the CAA records of ${DOMAIN} allow no CA`,
    directory: 'https://acme.ca.example/dir',
  },
  "Let's Encrypt's staging": {
    records: { [DOMAIN]: ['issue letsencrypt.org'] },
    ok: true,
    detail: `the CAA records of ${DOMAIN} allow letsencrypt.org`,
    directory: 'https://acme-staging-v02.api.letsencrypt.org/directory',
  },
}

for (const [what, { records, ok, detail, directory }] of Object.entries(CAA)) {
  test(`CAA: ${what}`, async () => {
    const deps = await world(['192.0.2.10'], directory === undefined ? {} : { ACME_DIRECTORY_URL: directory })
    deps.host.network.caaRecords = async (name) => (name in records ? records[name]?.map(toRecord) : [])
    assert.equal(await look(deps, 'caa'), [[ok, detail]])
  })
}

test('CAA records of the top-level domain are not queried', async () => {
  const deps = await world()
  const asked: string[] = []
  deps.host.network.caaRecords = async (name) => {
    asked.push(name)
    return []
  }
  await runPreflight(deps.host, ['a.b.example.com'])
  assert.equal(asked, ['a.b.example.com', 'b.example.com', 'example.com'])
})

test('each name of a certificate is checked, and a failed check names it', async () => {
  const deps = await world()
  const found = await runPreflight(deps.host, [DOMAIN, 'gone.example.com'])
  assert.equal(
    found.map(({ check, domain, ok }) => `${check} ${domain} ${ok}`),
    [
      `dns ${DOMAIN} true`,
      `challenge ${DOMAIN} true`,
      `caa ${DOMAIN} true`,
      'dns gone.example.com false',
      'caa gone.example.com true',
    ],
  )
})

test('the challenge is requested at the port that is open outside', async () => {
  const deps = await world(['192.0.2.10'], { NGINX_HTTP_PORT: '8080', NGINX_PUBLIC_HTTP_PORT: '80' })
  const ports: number[] = []
  const { get } = deps.host.probe
  deps.host.probe.get = async (request: ProbeRequest) => {
    ports.push(request.port)
    return await get(request)
  }
  await look(deps, 'challenge')
  assert.equal(ports, [80])
})

test.run()
