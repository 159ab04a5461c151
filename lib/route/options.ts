/** The options of a route, with their defaults. */

import * as v from 'valibot'
import { isCidr } from '../net/address.ts'
import { Domain, domainFor } from '../net/domain.ts'

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
        v.description('Protocol of the upstream; its certificate is not verified, since droplets use self-signed ones'),
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
    /** NGINX's documentation: usually this cannot exceed 75 seconds. */
    connect_timeout_s: seconds(1, 75, 5, 'Timeout for connecting to the upstream, in seconds'),
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
  },
  (issue) => (issue.expected === 'never' ? 'is not a known option' : 'must be a JSON object'),
)

export interface ProxyOptions extends Readonly<v.InferOutput<typeof ProxyOptions>> {}

/** The options of a route for which none are set. */
export const DEFAULT_OPTIONS: ProxyOptions = v.parse(ProxyOptions, {})

/** Options that routes of earlier versions do not have. */
const LATER = ['header_buffer_size', 'upstream_keepalive_s'] as const satisfies readonly (keyof ProxyOptions)[]

/** The options without later ones that have their defaults: what is made of it stays the same for routes of earlier versions. */
export function withoutLaterDefaults(options: ProxyOptions): Partial<ProxyOptions> {
  const isLaterDefault = (name: string) =>
    LATER.some((later) => later === name && options[later] === DEFAULT_OPTIONS[later])
  return Object.fromEntries(Object.entries(options).filter(([name]) => !isLaterDefault(name)))
}

/** The options that differ from their defaults. */
export function withoutDefaults(options: ProxyOptions): Partial<ProxyOptions> {
  return Object.fromEntries(Object.entries(options).filter(([name, value]) => !isDefault(name, value)))
}

function isDefault(name: string, value: unknown): boolean {
  const defaults: Readonly<Record<string, unknown>> = { ...DEFAULT_OPTIONS }
  return JSON.stringify(value) === JSON.stringify(defaults[name])
}

const KINDS = { boolean: 'flag', array: 'list', number: 'number', string: 'text', picklist: 'text' } as const

/** For each option its name, its default as JSON, its description, and what kind of value it takes. */
export function describeOptions(): readonly {
  readonly name: string
  readonly fallback: string
  readonly help: string
  readonly kind: 'flag' | 'list' | 'number' | 'text'
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
