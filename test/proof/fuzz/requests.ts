/** Requests: valid ones of every endpoint, and variants of these with changed bodies, queries, paths and headers. */
import fc from 'fast-check'
import { harmfulString, harmfulValue, headerValue, segment } from './values.ts'

export interface FuzzRequest {
  readonly method: string
  readonly target: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** Each character is a byte. */
  readonly body: string | undefined
}

export interface Surroundings {
  readonly port: number
  /** Where a healthy droplet listens. */
  readonly dropletPort: number
  readonly nginxPort: number
  readonly certified: readonly string[]
  /** The token with full access, if there is one, and the read token. */
  readonly tokens?: { readonly all: string; readonly read: string }
}

export const NAMES = ['a', 'b', 'app', 'orders', 'x-1', 'under_score', 'n'.repeat(63), 'secure', 'reg-0', 'nobody']
const DOMAINS = [
  'a.fuzz.example',
  'b.fuzz.example',
  'App.Fuzz.Example',
  'app.fuzz.example.',
  'orders.fuzz.example',
  'x-1.fuzz.example',
  'bücher.example',
  'xn--bcher-kva.example',
  `${'a.'.repeat(123)}example`,
  `${`${'b'.repeat(61)}.`.repeat(3)}example`,
  'reg-0.fuzz.example',
]
const NETWORKS = ['10.0.0.0/8', '192.0.2.7', '2001:db8::/32', '::1', '0.0.0.0/0', '::/0']

/** One in this many valid bodies is not a dry run: each costs a reload. */
const REAL_ONE_IN = 3

/** Any request at all. */
export function fuzzRequest(around: Surroundings): fc.Arbitrary<FuzzRequest> {
  const bodies = bodiesOf(around)
  const credentials = credentialsOf(around)
  const wellMeant = fc
    .tuple(fc.oneof(bodies.put, bodies.post, bodies.message), fc.nat(REAL_ONE_IN - 1), credentials)
    .map(([{ method, path, body }, dice, headers]): FuzzRequest => {
      const isDry = dice > 0 && path !== '/message'
      return { method, target: isDry ? `${path}?dry_run=true` : path, headers, body: bytes(JSON.stringify(body)) }
    })
  const spoiled = fc
    .tuple(fc.oneof(bodies.put, bodies.post, bodies.message, bodies.ssl), credentials)
    .chain(([{ method, path, body }, headers]) =>
      fc
        .tuple(fc.array(mutation, { minLength: 1, maxLength: 4 }), spoiling, query)
        .map(([mutations, spoil, extra]): FuzzRequest => {
          const changed = mutations.reduce((value: unknown, mutate) => mutate(value), body)
          return { method, target: path + extra, headers, body: bytes(spoil(JSON.stringify(changed) ?? 'null')) }
        }),
    )
  const reading = fc
    .tuple(
      fc.constantFrom(
        'GET',
        'GET',
        'GET',
        'GET',
        'HEAD',
        'OPTIONS',
        'OPTIONS',
        'DELETE',
        'PATCH',
        'PATCH',
        'POST',
        'PUT',
      ),
      fc.oneof({ weight: 3, arbitrary: knownPath }, { weight: 2, arbitrary: strangePath }),
      query,
      credentials,
      headers,
    )
    .map(([method, path, extra, own, more]): FuzzRequest => {
      // Deletions and syncs are dry runs here: the few real ones are generated elsewhere.
      const isRisky = (method === 'DELETE' || path.includes('sync')) && !extra.includes('dry_run')
      const dry = isRisky ? `${extra === '' ? '?' : `${extra}&`}dry_run=true` : extra
      return { method, target: path + dry, headers: [...own, ...more], body: undefined }
    })
  const withHeaders = fc
    .tuple(fc.oneof(bodies.put, bodies.post, bodies.ssl), credentials, headers, fc.boolean())
    .map(([{ method, path, body }, own, more, isTyped]): FuzzRequest => {
      const kept = isTyped ? own : own.filter(([name]) => name !== 'content-type')
      return { method, target: `${path}?dry_run=true`, headers: [...kept, ...more], body: bytes(JSON.stringify(body)) }
    })
  const carriedOut = fc
    .tuple(fc.constantFrom(...NAMES), fc.nat(2), bodies.put, credentials)
    .map(([name, i, { body }, headers]): FuzzRequest => {
      const own = { ...body, domain: `${name.slice(0, 60).replace('_', '-')}-${i}.Fuzz.example.` }
      return { method: 'PUT', target: `/proxies/${name}`, headers, body: bytes(JSON.stringify(own)) }
    })
  const removing = fc
    .tuple(fc.constantFrom(...NAMES), credentials, fc.constantFrom('', '?delete_certificate=true'), fc.nat(2))
    .map(([name, headers, extra, kind]): FuzzRequest => {
      if (kind === 0) return { method: 'DELETE', target: `/proxies/${name}${extra}`, headers, body: undefined }
      const sync = '/proxy-manager/sync-from-registry'
      return { method: 'POST', target: `${sync}${kind === 1 ? '?prune=true' : ''}`, headers, body: undefined }
    })
  return fc.oneof(
    { weight: 8, arbitrary: wellMeant },
    { weight: 540, arbitrary: spoiled },
    { weight: 420, arbitrary: reading },
    { weight: 12, arbitrary: withHeaders },
    { weight: 8, arbitrary: carriedOut },
    { weight: 3, arbitrary: removing },
  )
}

interface Addressed {
  readonly method: string
  readonly path: string
  readonly body: Record<string, unknown>
}

function bodiesOf({ port, dropletPort, nginxPort, certified }: Surroundings) {
  const domain = fc.constantFrom(...DOMAINS, ...certified)
  const aPort = fc.constantFrom(dropletPort, dropletPort, dropletPort, 1, 9, 65_535, port, nginxPort)
  const host = fc.constantFrom('localhost', '127.0.0.1', '::1', '[::1]', '127.0.0.2', 'LocalHost.', '::ffff:127.0.0.1')
  const options = fc.record(
    {
      upstream_scheme: fc.constantFrom('http', 'https'),
      health_check_path: fc.constantFrom(null, '/health', '/h?$a={};"\'#'),
      max_body_size: fc.constantFrom('0', '1k', '64m', '99999g'),
      connect_timeout_s: fc.integer({ min: 1, max: 75 }),
      read_timeout_s: fc.integer({ min: 1, max: 86_400 }),
      websocket: fc.boolean(),
      buffering: fc.boolean(),
      hsts: fc.boolean(),
      allow: fc.array(fc.constantFrom(...NETWORKS), { maxLength: 4 }),
      aliases: fc.array(
        fc.integer({ min: 0, max: 30 }).map((i) => `alias-${i}.Fuzz.example`),
        { maxLength: 3 },
      ),
      redirect_to: fc.constantFrom(null, null, null, 'elsewhere.example.net', 'BÜCHER.example.net.'),
      header_buffer_size: fc.constantFrom('4k', '16K', '256k'),
      upstream_keepalive_s: fc.constantFrom(0, 1, 3600),
      maintenance: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
    },
    { requiredKeys: [] },
  )
  const place = fc.oneof(
    fc.record({ upstream_host: host, upstream_port: aPort }, { requiredKeys: ['upstream_port'] }),
    fc
      .tuple(fc.constantFrom('http', 'https'), host, aPort)
      .map(([scheme, name, at]) => ({ upstream: `${scheme}://${/^[^[].*:/.test(name) ? `[${name}]` : name}:${at}` })),
  )
  const route = fc
    .tuple(
      fc.record(
        { domain, options, enable_ssl: fc.boolean(), require_healthy: fc.oneof(fc.constant(false), fc.boolean()) },
        { requiredKeys: ['domain', 'require_healthy'] },
      ),
      place,
    )
    .map(([one, other]): Record<string, unknown> => ({ ...one, ...other }))
  const name = fc.constantFrom(...NAMES)
  const put = fc.tuple(name, route).map(([own, body]): Addressed => ({ method: 'PUT', path: `/proxies/${own}`, body }))
  const post = fc.tuple(fc.option(name, { nil: undefined }), route).map(
    ([own, body]): Addressed => ({
      method: 'POST',
      path: '/proxies',
      body: own === undefined ? body : { droplet_name: own, ...body },
    }),
  )
  const ssl = fc
    .tuple(
      name,
      fc.record(
        { email: fc.constantFrom('ops@example.com', 'a+b.c@d.example'), force_renew: fc.boolean() },
        { requiredKeys: [] },
      ),
    )
    .map(([own, body]): Addressed => ({ method: 'POST', path: `/proxies/${own}/ssl`, body }))
  const payload = fc.oneof(
    fc.constantFrom<Record<string, unknown>>(
      { query: 'routes' },
      { query: 'health' },
      { query: 'route', droplet_name: 'a' },
    ),
    fc.tuple(name, route).map(([own, proxy]) => ({ command: 'upsert', droplet_name: own, proxy })),
    fc.tuple(name, fc.boolean()).map(([own, force_renew]) => ({
      command: 'ssl',
      droplet_name: own,
      options: { force_renew },
    })),
  )
  const message = fc.tuple(payload, fc.constantFrom('*', 'proxy-manager', 'another'), harmfulString).map(
    ([one, target, trace]): Addressed => ({
      method: 'POST',
      path: '/message',
      body: {
        trace_id: trace.toWellFormed().slice(0, 200) || 'trace',
        source: 'fuzz',
        target,
        message_type: 'query' in one ? 'query' : 'command',
        payload: one,
      },
    }),
  )
  return { put, post, ssl, message }
}

type Mutation = (value: unknown) => unknown

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Changes one field, at a random depth. */
const mutation: fc.Arbitrary<Mutation> = fc
  .tuple(fc.nat(), fc.nat(6), harmfulValue, harmfulString)
  .map(([dice, kind, value, text]): Mutation => {
    const change = (target: unknown, at: number): unknown => {
      if (!isObject(target)) return value
      const keys = Object.keys(target)
      const key = keys[at % Math.max(1, keys.length)] ?? 'domain'
      const inner = target[key]
      if (isObject(inner) && at % 3 > 0) return { ...target, [key]: change(inner, Math.floor(at / 7)) }
      const others = Object.fromEntries(Object.entries(target).filter(([name]) => name !== key))
      if (kind === 0) return others
      if (kind === 1) return { ...target, ...JSON.parse(`{${JSON.stringify(text)}:1}`) }
      if (kind === 2) return { ...others, [key.toUpperCase()]: inner }
      if (kind === 3 && typeof inner === 'string') return { ...target, [key]: inner + text }
      if (kind === 4 && typeof inner === 'string') return { ...target, [key]: text + inner }
      if (kind === 5) return { ...target, [key]: [inner] }
      return { ...target, [key]: value }
    }
    return (body) => change(body, dice)
  })

/** Changes the text, mostly not at all. */
const spoiling: fc.Arbitrary<(json: string) => string> = fc.oneof(
  { weight: 12, arbitrary: fc.constant((json: string) => json) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), harmfulString).map(
      ([where, text]) =>
        (json: string) =>
          json.slice(0, where * json.length) + text.toWellFormed() + json.slice(where * json.length),
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .double({ min: 0, max: 1, noNaN: true })
      .map((where) => (json: string) => json.slice(0, where * json.length)),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      (json: string) => `\ufeff${json}`,
      (json: string) => `${json}${json}`,
      (json: string) => `[${json}]`,
      (json: string) => json.replace('{', '{"domain":"first.fuzz.example",'),
      (json: string) => json.replace('{', '{"__proto__":{"domain":"first.fuzz.example"},'),
      (json: string) => json.replace('{', '{"d\\u006fmain":"first.fuzz.example",'),
      (json: string) => json.replace(/:/, `:${'['.repeat(2000)}${']'.repeat(2000)},"x":`),
      (json: string) => '{"a":'.repeat(9000) + json + '}'.repeat(9000),
      (json: string) => json.replace(/"options":\{/, `"options":{${'"a":{'.repeat(5000)}${'},'.repeat(5000)}`),
      (json: string) => json.replace(/\d+/, '1e400'),
      (json: string) => json.replace(/\d+/, 'NaN'),
      (json: string) => json.replace(/"/g, "'"),
      (json: string) => `// x\n${json}`,
      (json: string) => json.padEnd(70_000),
      (json: string) => json.replace(/"(?=,|\})/, '\\u0000"'),
      (json: string) => json.replace(/"(?=,|\})/, '\\ud800"'),
    ),
  },
)

const EXTRA_PARAMETERS = [
  'dry_run',
  'domain',
  'status',
  'prune',
  'confirm',
  'require_healthy',
  'enable_ssl',
  'x',
  '__proto__',
]

const query: fc.Arbitrary<string> = fc.oneof(
  { weight: 5, arbitrary: fc.constant('?dry_run=true') },
  { weight: 1, arbitrary: fc.constant('') },
  {
    weight: 3,
    arbitrary: fc
      .array(
        fc.tuple(
          fc.constantFrom(...EXTRA_PARAMETERS),
          fc.oneof(segment, fc.constantFrom('true', 'false', '1', 'active')),
        ),
        {
          minLength: 1,
          maxLength: 3,
        },
      )
      .map((pairs) => `?${pairs.map(([name, value]) => `${name}=${value.replace(/[#\s]/g, '_')}`).join('&')}`),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('?', '?&&', '?=', '?a', '?%', `?${'a=1&'.repeat(100)}`, `?x=${'y'.repeat(8000)}`),
  },
)

const knownPath = fc.oneof(
  fc.constantFrom(
    '/health',
    '/proxy-manager/health',
    '/proxies',
    '/openapi.json',
    '/proxy-manager/metrics',
    '/metrics',
    '/capabilities',
    '/state',
    '/dependencies',
    '/message',
    '/proxy-manager/sync-from-registry',
  ),
  fc.constantFrom(...NAMES).map((name) => `/proxies/${name}`),
  fc.constantFrom(...NAMES).map((name) => `/proxies/${name}/ssl`),
)

const strangePath = fc.oneof(
  segment.map((part) => `/proxies/${part}`),
  segment.map((part) => `/proxies/${part}/ssl`),
  fc.array(segment, { maxLength: 5 }).map((parts) => `/${parts.join('/')}`),
  fc.tuple(knownPath, segment).map(([path, part]) => `${path}/${part}`),
  knownPath.map((path) => path.toUpperCase()),
  knownPath.map((path) => `/${path}`),
  knownPath.map((path) => `${path}/`),
  knownPath.map((path) => path.replace(/[a-z]/, (letter) => `%${letter.charCodeAt(0).toString(16)}`)),
)

const HEADER_NAMES = [
  'accept',
  'accept-encoding',
  'authorization',
  'content-encoding',
  'content-type',
  'cookie',
  'expect',
  'forwarded',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'origin',
  'range',
  'sec-fetch-site',
  'te',
  'upgrade',
  'x-api-token',
  'x-correlation-id',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-http-method-override',
  'x-original-url',
  '__proto__',
]
const LIKELY = [
  '*',
  '"x"',
  'W/"x"',
  '""',
  'null',
  'http://127.0.0.1',
  'http://evil.example',
  'cross-site',
  'same-origin',
  '100-continue',
  'gzip',
  'identity',
  'text/plain',
  'application/json',
  'application/json; charset=utf-16',
  'evil.example',
  'localhost',
  'localhost.evil.example',
  '[::1]',
  '127.0.0.1:1',
  'h2c',
  'websocket',
  'Bearer x',
  'Basic eDp5',
  'correlation-1',
]

const headers = fc.array(
  fc.tuple(fc.constantFrom(...HEADER_NAMES), fc.oneof(headerValue, fc.constantFrom(...LIKELY))),
  {
    minLength: 0,
    maxLength: 4,
  },
)

/** Host, type and token of a caller; the token is mostly valid. */
function credentialsOf({ port, tokens }: Surroundings): fc.Arbitrary<[string, string][]> {
  const base: [string, string][] = [
    ['host', `127.0.0.1:${port}`],
    ['content-type', 'application/json'],
  ]
  if (tokens === undefined) return fc.constant(base)
  const { all, read } = tokens
  return fc
    .oneof(
      { weight: 20, arbitrary: fc.constant(`Bearer ${all}`) },
      {
        weight: 1,
        arbitrary: fc.constantFrom(`Bearer ${read}`, `Bearer ${all}x`, `Bearer ${all.slice(1)}`, `Basic ${all}`, all),
      },
      { weight: 1, arbitrary: fc.constantFrom('Bearer e30.e30.e30', `Bearer ${'a.'.repeat(5000)}`, 'Bearer ', '') },
      { weight: 1, arbitrary: headerValue },
    )
    .map((authorization) => [...base, ['authorization', authorization]])
}

function bytes(text: string): string {
  return Buffer.from(text).toString('latin1')
}

/** The request as it is sent, correctly framed. */
export function toBytes({ method, target, headers: sent, body }: FuzzRequest): Buffer {
  const lines = sent.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  const length = body === undefined ? '' : `content-length: ${body.length}\r\n`
  return Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines}${length}\r\n${body ?? ''}`, 'latin1')
}
