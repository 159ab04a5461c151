/** What can be set for one route, each with a default that suits most. */
import * as v from 'valibot'
import { ipFamily } from './address.ts'

const flag = (unset: boolean) => v.optional(v.boolean('must be true or false'), unset)

function seconds(min: number, max: number, unset: number) {
  const message = `must be an integer from ${min} to ${max}`
  return v.optional(
    v.pipe(v.number(message), v.integer(message), v.minValue(min, message), v.maxValue(max, message)),
    unset,
  )
}

/** An address or a network in CIDR notation, IPv4 or IPv6. */
export const Cidr = v.pipe(
  v.string('must be a string'),
  v.check((text) => isCidr(text), 'must be an IP address or a network such as 10.0.0.0/8'),
)

export const ProxyOptions = v.strictObject(
  {
    /** How the upstream is spoken to. Its certificate is not verified: droplets make their own. */
    upstream_scheme: v.optional(v.picklist(['http', 'https'], 'must be http or https'), 'http'),
    /** Null is HEALTH_CHECK_PATH. */
    health_check_path: v.optional(
      v.nullable(
        v.pipe(v.string('must be a string'), v.regex(/^\/[\x21-\x7e]{0,255}$/, 'must be a path that begins with "/"')),
      ),
      null,
    ),
    /** The largest request body, as NGINX writes it; `0` is no limit. */
    max_body_size: v.optional(
      v.pipe(
        v.string('must be a string'),
        v.regex(/^(0|[1-9]\d{0,4}[kmg])$/, 'must be a size such as 512k, 64m or 2g, or 0'),
      ),
      '64m',
    ),
    /** NGINX's documentation: usually this cannot exceed 75 seconds. */
    connect_timeout_s: seconds(1, 75, 5),
    /** The longest silence of the upstream, a WebSocket's too. */
    read_timeout_s: seconds(1, 86_400, 300),
    websocket: flag(true),
    /** Off, events and streams pass as they come; on, NGINX shields the upstream from slow clients. */
    buffering: flag(false),
    /** Strict-Transport-Security for two years, over HTTPS alone (Mozilla's guidelines). */
    hsts: flag(false),
    /** Who may call; everyone where the list is empty. The CA's challenge is open all the same. */
    allow: v.optional(v.pipe(v.array(Cidr, 'must be a list'), v.maxLength(200, 'must be at most 200 networks')), []),
    /** Answers 503 with Retry-After while the droplet is being redeployed. */
    maintenance: flag(false),
  },
  (issue) => (issue.expected === 'never' ? 'is not a known option' : 'must be a JSON object'),
)

export interface ProxyOptions extends Readonly<v.InferOutput<typeof ProxyOptions>> {}

export const DEFAULT_OPTIONS: ProxyOptions = v.parse(ProxyOptions, {})

function isCidr(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/')
  const family = ipFamily(address)
  if (family === undefined || rest.length > 0) return false
  return bits === undefined || (/^(0|[1-9]\d{0,2})$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
}
