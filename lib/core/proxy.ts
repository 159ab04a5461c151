/** The words of the API: droplet name, domain, upstream, and the route that a caller wants. Their grammars refuse everything else. */
import { domainToUnicode } from 'node:url'
import * as v from 'valibot'
import { canonicalIpv6, ipFamily } from './address.ts'
import { ProxyOptions } from './proxy-options.ts'

/** A droplet's name, which is also part of a file name: letters, digits, `_` and `-` inside, 1 to 63 characters. */
export const DropletName = v.pipe(
  v.string('must be a string'),
  v.description('Name of the droplet, and of its route'),
  v.regex(
    /^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$/,
    'must be 1 to 63 of a-z, 0-9, "_" and "-", beginning and ending with a letter or digit',
  ),
  v.notValues(['default', '000-default', '000-proxy-manager'], 'is reserved'),
)
export type DropletName = string

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const RESERVED_ENDINGS = ['localhost', 'invalid', 'onion', 'arpa']
/** Code points of a Unicode host name: letters, marks, digits, the hyphen, and the dot; nothing that maps to another character class. */
const UNICODE_NAME = /^[\p{L}\p{M}\p{Nd}.-]+$/u

/**
 * Folds a DNS name to the one spelling under which it is compared and rendered: lower case, A-labels, no trailing dot.
 * Unicode goes through UTS 46 as the WHATWG URL standard has it. Returns a sentence on what is wrong instead, as `{ fault }`.
 */
export function normalizeDomain(input: string): string | { readonly fault: string } {
  if (input.length > 1000) return { fault: 'must be a DNS name of at most 253 characters' }
  const undotted = input.endsWith('.') ? input.slice(0, -1) : input
  let name = undotted.toLowerCase()
  if (/[^\x00-\x7f]/.test(undotted)) {
    if (!UNICODE_NAME.test(undotted)) return { fault: 'holds characters that no domain name has' }
    const ascii = toAscii(undotted)
    if (ascii === undefined) return { fault: 'is not a valid internationalized domain name' }
    const labels = ascii.split('.')
    const asked = undotted.split('.')
    const mapped = asked.some((label, i) => /[^\x00-\x7f]/.test(label) && !labels[i]?.startsWith('xn--'))
    if (mapped || labels.length !== asked.length)
      return { fault: 'becomes another, plain ASCII name when converted: write that one' }
    name = ascii
  }
  if (name.length > 253) return { fault: 'must be at most 253 characters long' }
  const labels = name.split('.')
  if (labels.length < 2) return { fault: 'must have at least two labels, such as app.example.com' }
  if (!labels.every((label) => LABEL.test(label))) {
    return {
      fault:
        'must be a DNS name: labels of 1 to 63 letters, digits and inner hyphens; no wildcard, port, scheme or path',
    }
  }
  const last = labels.at(-1) ?? ''
  if (!/^([a-z]+|xn--[a-z0-9-]+)$/.test(last))
    return { fault: 'must end in a top-level domain of letters; IP addresses are refused' }
  if (RESERVED_ENDINGS.includes(last)) return { fault: `must not end in .${last}` }
  if (!hasValidALabels(name)) return { fault: 'holds an invalid xn-- label' }
  return name
}

/** A domain that a route serves, folded by {@link normalizeDomain}. */
export const Domain = v.pipe(
  v.string('must be a string'),
  v.description('DNS name that the route serves, such as app.example.com; Unicode and upper case are converted'),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const name = normalizeDomain(dataset.value)
    if (typeof name === 'string') return name
    addIssue({ message: name.fault })
    return NEVER
  }),
)

const UPSTREAM_LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/

/**
 * Folds the host of an upstream: a name (underscores allowed, as container names have them), an IPv4 or an IPv6 address with or without
 * brackets. The spellings that only the C library takes for an address are refused.
 */
export function normalizeUpstreamHost(input: string): string | { readonly fault: string } {
  const bare = /^\[.*\]$/.test(input) ? input.slice(1, -1) : input
  const family = ipFamily(bare)
  if (family === 6) return canonicalIpv6(bare)
  if (family === 4 && bare === input) return bare
  const name = input.toLowerCase().replace(/\.$/, '')
  const labels = name.split('.')
  const last = labels.at(-1) ?? ''
  // Some letters outside ASCII have a lower case inside it: the name is held against its grammar as it was given.
  const isName =
    /^[\x00-\x7f]*$/.test(input) &&
    name.length <= 253 &&
    labels.every((label) => UPSTREAM_LABEL.test(label)) &&
    !/^(\d+|0x[0-9a-f]*)$/.test(last)
  return isName
    ? name
    : { fault: 'must be a host name, an IPv4 address of four decimal octets, or an IPv6 address without a zone' }
}

export const UpstreamHost = v.pipe(
  v.string('must be a string'),
  v.description('Where the droplet listens: host name, IPv4 or IPv6 address; localhost where left out'),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const host = normalizeUpstreamHost(dataset.value)
    if (typeof host === 'string') return host
    addIssue({ message: host.fault })
    return NEVER
  }),
)

export const UpstreamPort = v.pipe(
  v.number('must be an integer from 1 to 65535'),
  v.description('Port of the droplet; required unless upstream is given'),
  v.integer('must be an integer from 1 to 65535'),
  v.minValue(1, 'must be an integer from 1 to 65535'),
  v.maxValue(65535, 'must be an integer from 1 to 65535'),
)

/** `http://host:port` (or `https`), the short way to write `upstream_host` and `upstream_port`. */
export const UpstreamUrl = v.pipe(
  v.string('must be a string'),
  v.description('http://host:port (or https), instead of upstream_host and upstream_port'),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const match = /^https?:\/\/([^/:@?#\\]+|\[[^\]]+\]):(\d{1,5})\/?$/.exec(dataset.value)
    const host = normalizeUpstreamHost(match?.[1] ?? '')
    const port = Number(match?.[2])
    const scheme: 'http' | 'https' = dataset.value.startsWith('https:') ? 'https' : 'http'
    if (match !== null && typeof host === 'string' && port >= 1 && port <= 65535) return { host, port, scheme }
    addIssue({ message: 'must be http://host:port or https://host:port' })
    return NEVER
  }),
)

const flag = (words: string) => v.optional(v.pipe(v.boolean('must be true or false'), v.description(words)), true)

const bodyEntries = {
  domain: Domain,
  upstream_host: v.optional(UpstreamHost),
  upstream_port: v.optional(UpstreamPort),
  upstream: v.optional(UpstreamUrl),
  require_healthy: flag('Probe the upstream first, and refuse the route (422) where it is not healthy'),
  enable_ssl: flag('Serve the domain over HTTPS; over HTTP alone (202) until it has a certificate'),
  options: v.optional(ProxyOptions, {}),
}

type Body = v.InferOutput<v.ObjectSchema<typeof bodyEntries, undefined>>

/** What a caller wants of a route, once parsed. */
export interface ProxySpec {
  readonly domain: string
  readonly upstream_host: string
  readonly upstream_port: number
  readonly require_healthy: boolean
  readonly enable_ssl: boolean
  /** The defaults where left out. */
  readonly options?: ProxyOptions
}

/** The body of `PUT /proxies/{droplet_name}`. */
export const PutProxyBody = v.pipe(
  v.strictObject(bodyEntries, objectMessage),
  v.rawCheck(({ dataset, addIssue }) => checkUpstream(dataset.value, addIssue)),
  v.transform(toSpec),
)

/** The body of `POST /proxies`: the same, and a name, made from the domain where it is left out (`a.example.com` becomes `a-example-com`). */
export const CreateProxyBody = v.pipe(
  v.strictObject({ droplet_name: v.optional(DropletName), ...bodyEntries }, objectMessage),
  v.rawCheck(({ dataset, addIssue }) => {
    checkUpstream(dataset.value, addIssue)
    if (
      dataset.typed &&
      dataset.value.droplet_name === undefined &&
      !v.is(DropletName, nameFromDomain(dataset.value.domain))
    ) {
      addIssue({ message: 'no droplet name can be made from this domain: pass droplet_name' })
    }
  }),
  v.transform((body) => ({ droplet_name: body.droplet_name ?? nameFromDomain(body.domain), ...toSpec(body) })),
)

/** The droplet name that a domain gives when the caller names none. */
export function nameFromDomain(domain: string): DropletName {
  return domain.replaceAll('.', '-')
}

/** `http://host:port` (or `https`), with brackets around an IPv6 address. */
export function upstreamUrl(spec: {
  readonly upstream_host: string
  readonly upstream_port: number
  readonly options?: ProxyOptions
}): string {
  const host = spec.upstream_host.includes(':') ? `[${spec.upstream_host}]` : spec.upstream_host
  return `${spec.options?.upstream_scheme ?? 'http'}://${host}:${spec.upstream_port}`
}

/** Runs beside the checks of the single fields, so that a caller learns of every fault at once: `body` may be half parsed. */
function checkUpstream(body: unknown, addIssue: (issue: { message: string; path?: [v.ObjectPathItem] }) => void): void {
  if (!isPartialBody(body)) return
  if (body.upstream === undefined) {
    if (body.upstream_port === undefined) {
      const path = [{ type: 'object', origin: 'key', input: body, key: 'upstream_port', value: undefined }] as const
      addIssue({ message: 'is required (or upstream as http://host:port)', path: [...path] })
    }
  } else if (body.upstream_host !== undefined || body.upstream_port !== undefined) {
    addIssue({ message: 'upstream stands instead of upstream_host and upstream_port: pass one form' })
  }
}

function isPartialBody(value: unknown): value is Partial<Record<keyof Body, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function toSpec(body: Body): ProxySpec {
  return {
    domain: body.domain,
    upstream_host: body.upstream?.host ?? body.upstream_host ?? 'localhost',
    upstream_port: body.upstream?.port ?? body.upstream_port ?? 0,
    require_healthy: body.require_healthy,
    enable_ssl: body.enable_ssl,
    options: body.upstream?.scheme === 'https' ? { ...body.options, upstream_scheme: 'https' } : body.options,
  }
}

/** One message for everything that can be wrong with an object as a whole; it never repeats the input. */
function objectMessage(issue: v.StrictObjectIssue): string {
  if (issue.expected === 'never') return 'is not a known field'
  if (issue.received === 'undefined') return 'is required'
  return 'must be a JSON object'
}

/** Node's parser passes an ASCII name on as it is, so each `xn--` label is decoded, and must come back the same (RFC 5891, 5.4). */
function hasValidALabels(name: string): boolean {
  if (!name.includes('xn--')) return true
  const unicode = domainToUnicode(name)
  const isDecoded = unicode.split('.').every((label) => !label.startsWith('xn--'))
  return isDecoded && toAscii(unicode) === name
}

function toAscii(name: string): string | undefined {
  try {
    return new URL(`http://${name}/`).hostname
  } catch {
    return undefined
  }
}
