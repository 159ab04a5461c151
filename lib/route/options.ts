/** The options of a route, with their defaults. */

import * as v from 'valibot'
import { isCidr } from '../net/address.ts'
import { Domain, domainFor } from '../net/domain.ts'
import { hostFor } from '../upstream/upstream.ts'
import { RequestHeaders } from './request-headers.ts'

const flag = (fallback: boolean, help: string) =>
  v.optional(v.pipe(v.boolean('must be true or false'), v.description(help)), fallback)

const HEADER_BUFFER = 'must be a size from 4k to 256k such as 16k or 64k'

/** A size in NGINX's syntax, which has bytes and upper-case units as well; normalised, so that its spellings render to the same bytes. */
const HeaderBufferSize = v.pipe(
  v.string('must be a string'),
  v.description('Room for the headers of a response, from 4k to 256k; larger headers are a 502'),
  v.regex(/^[1-9]\d{0,5}[kK]?$/, HEADER_BUFFER),
  v.check((size) => isHeaderBuffer(toKilobytes(size)), HEADER_BUFFER),
  v.transform((size) => `${toKilobytes(size)}k`),
)

function toKilobytes(size: string): number {
  return Number.parseInt(size, 10) / (/k$/i.test(size) ? 1 : 1024)
}

function isHeaderBuffer(kilobytes: number): boolean {
  return Number.isInteger(kilobytes) && kilobytes >= 4 && kilobytes <= 256
}

function seconds(min: number, max: number, fallback: number, help: string) {
  const message = `must be an integer from ${min} to ${max}`
  return v.optional(
    v.pipe(
      v.number(message),
      v.description(help),
      v.integer(message),
      v.minValue(min, message),
      v.maxValue(max, message),
    ),
    fallback,
  )
}

function choice<const Values extends readonly [string, ...string[]]>(values: Values, help: string) {
  return v.optional(v.pipe(v.picklist(values, `must be ${values.join(' or ')}`), v.description(help)), values[0])
}

/** An address or a network in CIDR notation, IPv4 or IPv6. */
const Cidr = v.pipe(
  v.string('must be a string'),
  v.check((text) => isCidr(text), 'must be an IP address or a network such as 10.0.0.0/8'),
)

/** Options as callers pass them; unknown ones are refused. */
export const ProxyOptions = v.strictObject(
  {
    upstream_scheme: v.optional(
      v.pipe(
        v.picklist(['http', 'https'], 'must be http or https'),
        v.description('Protocol of the upstream; its certificate is only verified with upstream_tls_verify'),
      ),
      'http',
    ),
    health_check_path: v.optional(
      v.nullable(
        v.pipe(
          v.string('must be a string'),
          v.description('Path of the health check; HEALTH_CHECK_PATH if null'),
          v.regex(/^\/[\x21-\x7e]{0,255}$/, 'must be a path that begins with "/"'),
        ),
      ),
      null,
    ),
    max_body_size: v.optional(
      v.pipe(
        v.string('must be a string'),
        v.description('Maximum size of a request body, in NGINX syntax; 0 means no limit'),
        v.regex(/^(0|[1-9]\d{0,4}[kmg])$/, 'must be a size such as 512k, 64m or 2g, or 0'),
      ),
      '64m',
    ),
    connect_timeout_s: seconds(
      1,
      300,
      5,
      "Timeout for connecting to the upstream, in seconds; NGINX's documentation: usually it cannot exceed 75 seconds",
    ),
    read_timeout_s: seconds(1, 86_400, 300, 'Timeout between two reads from the upstream, in seconds'),
    websocket: flag(true, 'Allow WebSocket upgrades'),
    buffering: flag(false, 'Buffer responses for slow clients; if false, event streams pass immediately'),
    hsts: flag(false, 'Send Strict-Transport-Security for two years, only over HTTPS'),
    allow: v.optional(
      v.pipe(
        v.array(Cidr, 'must be a list'),
        v.description(
          'Networks that are allowed, all others get 403; if empty, all are allowed. ACME challenges are always allowed',
        ),
        v.maxLength(200, 'must be at most 200 networks'),
      ),
      [],
    ),
    // Let's Encrypt's certificates have at most 100 names (letsencrypt.org/docs/rate-limits).
    aliases: v.optional(
      v.pipe(
        v.array(Domain, 'must be a list'),
        v.description('Further domains of the route, on the same certificate; sorted'),
        v.maxLength(99, 'must be at most 99 domains'),
        v.transform((names) => [...new Set(names)].sort()),
      ),
      [],
    ),
    redirect_to: v.optional(
      v.nullable(domainFor('Redirect every request to this domain; no upstream is needed then')),
      null,
    ),
    maintenance: flag(false, 'Answer 503 with Retry-After, for example while the droplet is being redeployed'),
    header_buffer_size: v.optional(HeaderBufferSize, '16k'),
    upstream_keepalive_s: seconds(
      0,
      3600,
      4,
      'How long idle connections to the upstream are kept, in seconds: less than the upstream keeps them; 0 means not at all',
    ),
    balance: choice(
      ['round_robin', 'least_conn'],
      'How requests are distributed to several upstreams: in turn, or to the one with the fewest connections',
    ),
    failover: choice(
      ['repeat', 'connect_only'],
      'With connect_only, a request is only passed on to another upstream as long as nothing of it was sent',
    ),
    failover_on_5xx: flag(false, 'A 502, 503 or 504 of one upstream is a failure: the request is passed on to another'),
    request_headers: v.optional(RequestHeaders, {}),
    upstream_host_header: v.optional(
      v.pipe(
        hostFor('Host header of the requests to the upstream: domain, upstream (its host and port), or a host name'),
        v.check((name) => !name.includes(':'), 'must be domain, upstream, or a host name'),
      ),
      'domain',
    ),
    upstream_tls_verify: flag(false, "Verify the certificate of the upstream against the system's CAs"),
    strip_prefix: flag(
      false,
      'Send the path to the upstream without that of the route, which X-Forwarded-Prefix has then',
    ),
  },
  (issue) => (issue.expected === 'never' ? 'is not a known option' : 'must be a JSON object'),
)

export interface ProxyOptions extends Readonly<v.InferOutput<typeof ProxyOptions>> {}

/** The options of a route for which none are set. */
export const DEFAULT_OPTIONS: ProxyOptions = v.parse(ProxyOptions, {})

/** Options of which a file has only those that differ from their defaults: the files of routes without them stay as they are. */
const SPARSE = [
  'balance',
  'failover',
  'failover_on_5xx',
  'request_headers',
  'upstream_host_header',
  'upstream_tls_verify',
  'strip_prefix',
] as const satisfies readonly (keyof ProxyOptions)[]

/** Options that routes of earlier versions do not have. */
const LATER = ['header_buffer_size', 'upstream_keepalive_s', ...SPARSE] as const

/** The options without later ones that have their defaults: what is made of it stays the same for routes of earlier versions. */
export function withoutLaterDefaults(options: ProxyOptions): Partial<ProxyOptions> {
  return withoutDefaultsOf(options, LATER)
}

/** The options as the files of this software have them. */
export function writtenOptions(options: ProxyOptions): Partial<ProxyOptions> {
  return withoutDefaultsOf(options, SPARSE)
}

/** The options that differ from their defaults. */
export function withoutDefaults(options: ProxyOptions): Partial<ProxyOptions> {
  return withoutDefaultsOf(options, Object.keys(options))
}

function withoutDefaultsOf(options: ProxyOptions, names: readonly string[]): Partial<ProxyOptions> {
  const defaults: Readonly<Record<string, unknown>> = { ...DEFAULT_OPTIONS }
  const isDefault = (name: string, value: unknown) =>
    names.includes(name) && JSON.stringify(value) === JSON.stringify(defaults[name])
  return Object.fromEntries(Object.entries(options).filter(([name, value]) => !isDefault(name, value)))
}

const KINDS = {
  boolean: 'flag',
  array: 'list',
  record: 'headers',
  number: 'number',
  string: 'text',
  picklist: 'text',
} as const

/** For each option its name, its default as JSON, its description, and what kind of value it takes. */
export function describeOptions(): readonly {
  readonly name: string
  readonly fallback: string
  readonly help: string
  readonly kind: (typeof KINDS)[keyof typeof KINDS]
  /** It can be unset: null is its default. */
  readonly isNullable: boolean
}[] {
  return Object.entries(ProxyOptions.entries).map(([name, { wrapped, default: fallback }]) => {
    const isNullable = wrapped.type === 'nullable'
    const schema = isNullable ? wrapped.wrapped : wrapped
    const kind = KINDS[schema.type]
    return { name, fallback: JSON.stringify(fallback), help: v.getDescription(schema) ?? '', kind, isNullable }
  })
}
