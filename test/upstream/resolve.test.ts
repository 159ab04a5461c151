import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import type { Changed } from '../../lib/engine/engine.ts'
import { DEFAULT_OPTIONS } from '../../lib/route/options.ts'
import type { ProxySpec } from '../../lib/route/spec.ts'
import { probeUpstream } from '../../lib/upstream/health-check.ts'
import { resolveUpstream } from '../../lib/upstream/resolve.ts'
import { type Upstream, upstreamOf } from '../../lib/upstream/upstream.ts'
import { contentsOf, countEffects, refusal, textAt } from '../helpers/arrange.ts'
import { servedPort, worldWithRoute } from '../helpers/world.ts'

function spec(upstream_host: string, upstream_port = 8002, require_healthy = true): ProxySpec {
  return { domain: 'app.example.com', upstream_host, upstream_port, require_healthy, enable_ssl: false }
}

function upstream(upstream_host: string, upstream_port = 8002): Upstream {
  const found = upstreamOf({ upstream_host, upstream_port })
  assert.ok(found)
  return found as Upstream
}

async function put(deps: FakeDeps, wanted: ProxySpec): Promise<Changed> {
  return await deps.engine.putProxy({ dropletName: 'app', spec: wanted, mode: 'replace', precondition: {} })
}

/** What was done beside writing events. */
function effectsOf({ effects }: FakeDeps) {
  return effects.journal.filter(({ subject }) => !subject.includes('/events/'))
}

function probesOf({ effects }: FakeDeps): string[] {
  return effects.journal.filter(({ verb }) => verb === 'probe').map(({ subject }) => subject)
}

const addresses = suite('resolve: addresses')

const FORBIDDEN = [
  ...['169.254.169.254', '::ffff:a9fe:a9fe', '64:ff9b::a9fe:a9fe', 'fd00:ec2::254', '100.100.100.200'],
  ...['168.63.129.16', '0.0.0.0', '::', '224.0.0.1', '255.255.255.255', 'fe80::1', 'ff02::1', '2002:a9fe:a9fe::1'],
]
addresses(
  'an address at which no droplet can be is refused in every spelling, with or without a health check',
  async () => {
    const deps = await worldWithRoute()
    const before = contentsOf(deps.disk)
    const from = effectsOf(deps).length
    for (const address of FORBIDDEN) {
      for (const requireHealthy of [true, false]) {
        const error = await refusal(put(deps, spec(address, 8002, requireHealthy)), 'UPSTREAM_FORBIDDEN')
        assert.is(error.status, 422)
        assert.is(error.message, 'The upstream resolves to a reserved address', address)
      }
    }
    assert.equal(effectsOf(deps).slice(from), [])
    assert.equal(contentsOf(deps.disk), before)
  },
)

addresses('a name is refused if any of its addresses is forbidden, as programs or as NGINX resolve it', async () => {
  const deps = await fakeDeps()
  deps.names.hosts.set('by-hosts', ['10.0.0.1', '169.254.169.254'])
  deps.names.dns.set('by-dns.example', ['fd00:ec2::254', '10.0.0.1'])
  deps.names.hosts.set('split.example', ['10.0.0.1'])
  deps.names.dns.set('split.example', ['169.254.169.254'])
  deps.names.hosts.set('split-2.example', ['169.254.169.254'])
  deps.names.dns.set('split-2.example', ['10.0.0.1'])
  for (const name of ['by-hosts', 'by-dns.example', 'split.example', 'split-2.example'])
    await refusal(put(deps, spec(name)), 'UPSTREAM_FORBIDDEN')
  assert.equal(probesOf(deps), [])
})

addresses("a cloud's metadata name is rejected before it is resolved", async () => {
  const deps = await fakeDeps()
  deps.host.network.lookup = () => Promise.reject(new Error('it was looked up'))
  for (const name of ['metadata', 'metadata.google.internal', 'instance-data', 'metadata.azure.internal']) {
    const error = await refusal(put(deps, spec(name)), 'UPSTREAM_FORBIDDEN')
    assert.is(error.message, "The upstream is a cloud's metadata service")
  }
})

addresses('a route to this API or to NGINX itself is rejected, under every address of this host', async () => {
  const deps = await fakeDeps()
  deps.names.hosts.set('me.example', ['192.0.2.10'])
  deps.names.dns.set('loop.example', ['127.0.0.1'])
  const here = ['localhost', '127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', '192.0.2.10', '::ffff:192.0.2.10']
  for (const host of [...here, 'me.example', 'loop.example']) {
    const api = await refusal(put(deps, spec(host, 8100)), 'UPSTREAM_FORBIDDEN')
    assert.is(api.message, 'The upstream is this API itself', host)
    for (const port of [80, 443]) {
      const nginx = await refusal(put(deps, spec(host, port)), 'UPSTREAM_FORBIDDEN')
      assert.is(nginx.message, 'The upstream is NGINX itself', host)
    }
  }
})

addresses('the same ports on another host are allowed', async () => {
  const deps = await fakeDeps()
  for (const port of [80, 443, 8100]) await resolveUpstream(deps.host, upstream('10.0.0.1', port))
})

addresses('the configured ports of NGINX count, not 80 and 443', async () => {
  const settings = { PROXY_MANAGER_PORT: '9100', NGINX_HTTP_PORT: '8080', NGINX_HTTPS_PORT: '8443' }
  const deps = await fakeDeps({ settings })
  for (const port of [9100, 8080, 8443]) await refusal(put(deps, spec('localhost', port)), 'UPSTREAM_FORBIDDEN')
  for (const port of [8100, 80, 443]) await resolveUpstream(deps.host, upstream('localhost', port))
})

addresses('loopback, private and public addresses are accepted as they are', async () => {
  const deps = await fakeDeps()
  for (const address of ['127.0.0.1', '::1', '10.0.0.1', '172.16.0.1', '192.168.1.1', 'fd00::1', '203.0.113.5']) {
    const resolved = await resolveUpstream(deps.host, upstream(address))
    assert.equal(resolved, { addresses: [address], resolvers: [], probed: [address] })
  }
})

addresses('localhost is both loopback addresses, or the one that exists', async () => {
  const deps = await fakeDeps()
  assert.equal((await resolveUpstream(deps.host, upstream('localhost'))).addresses, ['127.0.0.1', '::1'])
  deps.host.network.hasIpv6 = () => false
  assert.equal((await resolveUpstream(deps.host, upstream('localhost'))).addresses, ['127.0.0.1'])
})

addresses.run()

const names = suite('resolve: names')

names('a name that does not resolve is refused before any test, and other routes are still served', async () => {
  const deps = await worldWithRoute()
  const from = effectsOf(deps).length
  const error = await refusal(put(deps, spec('no-such.example')), 'UPSTREAM_UNRESOLVABLE')
  assert.equal(error.details, {
    stage: 'upstream',
    state: 'unchanged',
    culprit: 'upstream',
    retryable: true,
    upstream: 'http://no-such.example:8002',
    remedy:
      'Correct the name, or pass the address as upstream_host: names are looked up in the hosts file and in DNS, not in other sources of NSS',
  })
  assert.equal(effectsOf(deps).slice(from), [])
  assert.is(servedPort(deps, 'old.example.com'), 8001)
})

names('NGINX resolves a name in DNS itself, so that a later failure only affects its own route', async () => {
  const deps = await fakeDeps()
  deps.names.dns.set('api.example', ['10.0.0.7'])
  assert.equal(await resolveUpstream(deps.host, upstream('api.example')), {
    addresses: null,
    resolvers: ['192.0.2.53:53'],
    probed: ['10.0.0.7'],
  })
  await put(deps, spec('api.example'))
  const text = textAt(deps.disk, '/etc/nginx/sites-enabled/fpai-app.conf') ?? ''
  const shared = textAt(deps.disk, '/etc/nginx/sites-enabled/000-proxy-manager.conf') ?? ''
  assert.match(shared, 'resolver 192.0.2.53:53 valid=30s;')
  assert.match(text, 'set $proxy_manager_upstream api.example:8002;')
  assert.not.match(text, 'upstream fpai_app')
})

names("a name that is only in the host's own files is rendered as its addresses", async () => {
  const deps = await fakeDeps()
  deps.names.hosts.set('container', ['172.18.0.5'])
  assert.equal(await resolveUpstream(deps.host, upstream('container')), {
    addresses: ['172.18.0.5'],
    resolvers: [],
    probed: ['172.18.0.5'],
  })
  await put(deps, spec('container'))
  assert.match(textAt(deps.disk, '/etc/nginx/sites-enabled/fpai-app.conf') ?? '', 'server 172.18.0.5:8002;')
})

names(
  'a name that the hosts file and DNS know differently is checked and served at the addresses of the hosts file',
  async () => {
    const deps = await fakeDeps()
    deps.names.hosts.set('vm.example', ['10.0.0.1'])
    deps.names.dns.set('vm.example', ['10.0.0.77'])
    assert.equal(await resolveUpstream(deps.host, upstream('vm.example')), {
      addresses: ['10.0.0.1'],
      resolvers: [],
      probed: ['10.0.0.1'],
    })
  },
)

names('a name that search domains and NGINX find differently is checked where NGINX sends its requests', async () => {
  const deps = await fakeDeps()
  deps.names.dns.set('api.example', ['10.0.0.7'])
  deps.host.network.lookup = async () => ['10.0.0.9']
  const { addresses, probed } = await resolveUpstream(deps.host, upstream('api.example'))
  assert.equal([addresses, probed], [null, ['10.0.0.7']])
})

names('configured resolvers replace those of the system, each with its port', async () => {
  const deps = await fakeDeps({ settings: { DNS_SERVERS: '10.0.0.53,[fd00::53]:5353,fd00::54' } })
  const requested: (readonly string[])[] = []
  deps.host.network.query = async (_name, servers) => {
    requested.push(servers)
    return ['10.0.0.7']
  }
  const { resolvers } = await resolveUpstream(deps.host, upstream('api.example'))
  assert.equal(resolvers, ['10.0.0.53:53', '[fd00::53]:5353', '[fd00::54]:53'])
  assert.equal(requested, [resolvers])
})

names('both ways of resolving together take at most 5 s', async () => {
  const deps = await fakeDeps()
  const limits: number[] = []
  deps.host.network.lookup = async (_name, timeoutMs) => {
    limits.push(timeoutMs)
    return []
  }
  deps.host.network.query = async (_name, _servers, timeoutMs) => {
    limits.push(timeoutMs)
    return []
  }
  await refusal(put(deps, spec('slow.example')), 'UPSTREAM_UNRESOLVABLE')
  assert.equal(limits, [5000, 5000])
})

names('a name that waits for its resolver delays no other change', async () => {
  const deps = await worldWithRoute()
  let answer: (addresses: readonly string[]) => void = () => undefined
  deps.host.network.lookup = () =>
    new Promise((resolve) => {
      answer = resolve
    })
  const slow = put(deps, spec('slow.example'))
  const other = spec('localhost', 8003)
  await deps.engine.putProxy({
    dropletName: 'other',
    spec: { ...other, domain: 'other.example.com' },
    mode: 'replace',
    precondition: {},
  })
  assert.is(servedPort(deps, 'other.example.com'), 8003)
  answer([])
  await refusal(slow, 'UPSTREAM_UNRESOLVABLE')
})

names.run()

const health = suite('resolve: health')

const ANSWERS: readonly (readonly [answer: number | string, status: 'healthy' | 'unhealthy'])[] = [
  [200, 'healthy'],
  [204, 'healthy'],
  [299, 'healthy'],
  [199, 'unhealthy'],
  [301, 'unhealthy'],
  [302, 'unhealthy'],
  [401, 'unhealthy'],
  [404, 'unhealthy'],
  [500, 'unhealthy'],
  [503, 'unhealthy'],
  ['ECONNREFUSED', 'unhealthy'],
  ['ECONNRESET', 'unhealthy'],
  ['TIMEOUT', 'unhealthy'],
  ['BROKEN', 'unhealthy'],
]
for (const [answer, status] of ANSWERS) {
  health(`an upstream that answers ${answer} is ${status}`, async () => {
    const deps = await fakeDeps()
    deps.nginx.upstreams.set(8002, answer)
    const { failure } = await probeUpstream(deps.host, upstream('10.0.0.1'), '/health', ['10.0.0.1'])
    assert.is(failure === null, status === 'healthy')
  })
}

health('an unhealthy upstream is refused before anything is written, and the old route is still served', async () => {
  const deps = await worldWithRoute()
  const before = contentsOf(deps.disk)
  deps.nginx.upstreams.set(8002, 500)
  const error = await refusal(put(deps, spec('localhost')), 'UPSTREAM_UNHEALTHY')
  assert.equal(error.details, {
    stage: 'upstream',
    state: 'unchanged',
    culprit: 'upstream',
    retryable: true,
    upstream: 'http://localhost:8002',
    health_status: 'unhealthy',
    attempts: [{ address: '127.0.0.1', path: '/health', status: 500 }],
    remedy:
      'Start the droplet and see that its health check answers 2xx; if that has another path, pass it as options.health_check_path; "require_healthy": false skips the check',
  })
  assert.equal(contentsOf(deps.disk), before)
  assert.is(deps.nginx.reloads, 1)
  assert.is(servedPort(deps, 'old.example.com'), 8001)
})

health('an address on which nothing listens is skipped; one that answers badly, or not in time, is not', async () => {
  const deps = await fakeDeps()
  deps.nginx.upstreams.set(8002, 'ECONNREFUSED')
  const { attempts } = await probeUpstream(deps.host, upstream('localhost'), '/health', ['127.0.0.1', '::1'])
  assert.equal(attempts, [
    { address: '127.0.0.1', path: '/health', failure: 'ECONNREFUSED' },
    { address: '::1', path: '/health', failure: 'ECONNREFUSED' },
  ])
  for (const answer of [500, 'TIMEOUT']) {
    deps.nginx.upstreams.set(8002, answer)
    const again = await probeUpstream(deps.host, upstream('localhost'), '/health', ['127.0.0.1', '::1'])
    assert.is(again.attempts.length, 1, String(answer))
  }
})

health('the probe goes to the address that was checked, even if the name resolves differently afterwards', async () => {
  const deps = await fakeDeps()
  let lookups = 0
  deps.host.network.lookup = async () => (++lookups === 1 ? ['10.0.0.1'] : ['169.254.169.254'])
  await put(deps, spec('rebinding'))
  assert.equal([lookups, probesOf(deps)[0]], [1, 'rebinding:8002 at 10.0.0.1'])
  assert.match(textAt(deps.disk, '/etc/nginx/sites-enabled/fpai-app.conf') ?? '', 'server 10.0.0.1:8002;')
})

health(
  "the probe requests the configured path within the configured time, with the upstream's name and port as Host",
  async () => {
    const deps = await fakeDeps({ settings: { HEALTH_CHECK_PATH: '/ready', HEALTH_CHECK_TIMEOUT_MS: '250' } })
    const requested: unknown[] = []
    const { get } = deps.host.probe
    deps.host.probe.get = async (request) => {
      requested.push(request)
      return await get(request)
    }
    await put(deps, spec('::1'))
    assert.equal(requested[0], {
      scheme: 'http',
      address: '::1',
      port: 8002,
      host: '[::1]:8002',
      path: '/ready',
      timeoutMs: 250,
    })
  },
)

health('without require_healthy the upstream is not probed, and its status is "unknown"', async () => {
  const deps = await fakeDeps()
  deps.nginx.upstreams.set(8002, 'ECONNREFUSED')
  const { proxy } = await put(deps, spec('localhost', 8002, false))
  assert.equal([proxy.last_health_status, proxy.last_health_checked_at], ['unknown', null])
  assert.is(countEffects(deps, /^probe localhost/), 0)
})

health('a route in maintenance, or one that only redirects, is not probed', async () => {
  const deps = await fakeDeps()
  deps.nginx.upstreams.set(8002, 'ECONNREFUSED')
  for (const options of [{ maintenance: true }, { redirect_to: 'new.example.com' }]) {
    const requested = { ...spec('localhost'), options: { ...DEFAULT_OPTIONS, ...options } }
    assert.is((await put(deps, requested)).proxy.last_health_status, 'unknown')
  }
  assert.is(countEffects(deps, /^probe localhost/), 0)
  await refusal(put(deps, spec('localhost')), 'UPSTREAM_UNHEALTHY')
})

health(
  'the upstream of a route that only redirects is not resolved, and is used again after the next PUT',
  async () => {
    const deps = await fakeDeps()
    const options = { ...DEFAULT_OPTIONS, redirect_to: 'new.example.com' }
    const { proxy } = await put(deps, { ...spec('no-such.example'), options })
    assert.is(proxy.upstream, 'http://no-such.example:8002')
    await refusal(put(deps, spec('no-such.example')), 'UPSTREAM_UNRESOLVABLE')
  },
)

health('reads show the last health check, and a later one does not change the file', async () => {
  const deps = await fakeDeps()
  await put(deps, spec('localhost'))
  const text = textAt(deps.disk, '/etc/nginx/sites-enabled/fpai-app.conf')
  await deps.clock.sleep(5000)
  const { outcome, proxy } = await put(deps, spec('localhost'))
  assert.equal([outcome, proxy.last_health_checked_at], ['unchanged', '2026-01-01T00:00:05.000Z'])
  assert.is((await deps.engine.getProxy('app')).last_health_checked_at, '2026-01-01T00:00:05.000Z')
  assert.is(textAt(deps.disk, '/etc/nginx/sites-enabled/fpai-app.conf'), text)
})

health('two spellings of an IPv6 address are one upstream, rendered in brackets', async () => {
  const deps = await fakeDeps()
  await put(deps, spec('::1'))
  assert.match(textAt(deps.disk, '/etc/nginx/sites-enabled/fpai-app.conf') ?? '', 'server [::1]:8002;')
})

health.run()
