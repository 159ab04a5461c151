/** What can be set for one route, each with a default that suits most. */

import * as v from 'valibot'
import { isCidr } from '../net/address.ts'
import { Domain, domainFor } from '../net/domain.ts'

const flag = (unset: boolean, words: string) =>
  v.optional(v.pipe(v.boolean('must be true or false'), v.description(words)), unset)

function seconds(min: number, max: number, unset: number, words: string) {
  const message = `must be an integer from ${min} to ${max}`
  return v.optional(
    v.pipe(
      v.number(message),
      v.description(words),
      v.integer(message),
      v.minValue(min, message),
      v.maxValue(max, message),
    ),
    unset,
  )
}

/** An address or a network in CIDR notation, IPv4 or IPv6. */
const Cidr = v.pipe(
  v.string('must be a string'),
  v.check((text) => isCidr(text), 'must be an IP address or a network such as 10.0.0.0/8'),
)

export const ProxyOptions = v.strictObject(
  {
    upstream_scheme: v.optional(
      v.pipe(
        v.picklist(['http', 'https'], 'must be http or https'),
        v.description('How the upstream is spoken to; its certificate is not verified, as droplets make their own'),
      ),
      'http',
    ),
    health_check_path: v.optional(
      v.nullable(
        v.pipe(
          v.string('must be a string'),
          v.description('Path of the health check; the one in HEALTH_CHECK_PATH where it is null'),
          v.regex(/^\/[\x21-\x7e]{0,255}$/, 'must be a path that begins with "/"'),
        ),
      ),
      null,
    ),
    max_body_size: v.optional(
      v.pipe(
        v.string('must be a string'),
        v.description('The largest request body, as NGINX writes it; 0 is no limit'),
        v.regex(/^(0|[1-9]\d{0,4}[kmg])$/, 'must be a size such as 512k, 64m or 2g, or 0'),
      ),
      '64m',
    ),
    /** NGINX's documentation: usually this cannot exceed 75 seconds. */
    connect_timeout_s: seconds(1, 75, 5, 'How long a connection to the upstream may take, in seconds'),
    read_timeout_s: seconds(1, 86_400, 300, "The longest silence of the upstream in seconds, a WebSocket's too"),
    websocket: flag(true, 'Let WebSockets through'),
    buffering: flag(false, 'Shield the upstream from slow clients; off, events and streams pass as they come'),
    // For two years, as Mozilla's guidelines have it.
    hsts: flag(false, 'Send Strict-Transport-Security, over HTTPS alone'),
    allow: v.optional(
      v.pipe(
        v.array(Cidr, 'must be a list'),
        v.description(
          "Networks that may call, everyone else gets 403; everyone may where it is empty, the CA's always",
        ),
        v.maxLength(200, 'must be at most 200 networks'),
      ),
      [],
    ),
    // A certificate of Let's Encrypt's is for at most 100 names (letsencrypt.org/docs/rate-limits).
    aliases: v.optional(
      v.pipe(
        v.array(Domain, 'must be a list'),
        v.description('Further domains that are served alike, with the same certificate; sorted'),
        v.maxLength(99, 'must be at most 99 domains'),
        v.transform((names) => [...new Set(names)].sort()),
      ),
      [],
    ),
    redirect_to: v.optional(
      v.nullable(domainFor('Answer every request with a redirect to this domain; no upstream is needed then')),
      null,
    ),
    maintenance: flag(false, 'Answer 503 with Retry-After, while the droplet is being redeployed'),
  },
  (issue) => (issue.expected === 'never' ? 'is not a known option' : 'must be a JSON object'),
)

export interface ProxyOptions extends Readonly<v.InferOutput<typeof ProxyOptions>> {}

export const DEFAULT_OPTIONS: ProxyOptions = v.parse(ProxyOptions, {})

/** One line per option: its name, its default as JSON, what it is. */
export function describeOptions(): readonly {
  readonly name: string
  readonly fallback: string
  readonly help: string
}[] {
  return Object.entries(ProxyOptions.entries).map(([name, { wrapped, default: fallback }]) => {
    const help = v.getDescription(wrapped.type === 'nullable' ? wrapped.wrapped : wrapped) ?? ''
    return { name, fallback: JSON.stringify(fallback), help }
  })
}
