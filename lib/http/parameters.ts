/** Query parameters that several operations, or an operation and a message, share. */
import * as v from 'valibot'
import { EVENT_TYPES } from '../events/event.ts'
import { PROGRESS } from '../events/progress.ts'
import { domainFor } from '../net/domain.ts'
import { DropletName } from '../route/droplet-name.ts'
import { objectMessage } from '../route/spec.ts'
import { ProxyStatus } from '../route/state.ts'
import { HealthStatus } from '../upstream/upstream.ts'
import { CORRELATION_ID } from './request-log.ts'

/** `true` or `false`. */
const trueOrFalse = (description: string) =>
  v.pipe(
    v.picklist(['true', 'false'], 'must be true or false'),
    v.description(description),
    v.transform((value) => value === 'true'),
  )

/** A parameter that is `true` or `false`, and false if missing. */
export function booleanParameter(description: string) {
  return v.optional(trueOrFalse(description), 'false')
}

export const dryRunEntries = { dry_run: booleanParameter('Answer what would change, without changing anything') }
export const DryRun = v.strictObject(dryRunEntries, unknownKey)
export const NoQuery = v.strictObject({}, unknownKey)
export const NoParams = v.strictObject({})

/** The message about an unknown query parameter. */
export function unknownKey(): string {
  return 'is not a known parameter'
}

/** Of `GET /proxies`. */
export const ListQuery = v.strictObject(
  {
    domain: v.optional(domainFor('Only routes that serve this domain, as their domain or as an alias')),
    status: v.optional(
      v.pipe(
        v.picklist(ProxyStatus.options, `must be one of ${ProxyStatus.options.join(', ')}`),
        v.description('Only routes with this status'),
      ),
    ),
    health: v.optional(
      v.pipe(
        v.picklist(HealthStatus.options, `must be one of ${HealthStatus.options.join(', ')}`),
        v.description('Only routes whose upstream is this'),
      ),
    ),
  },
  unknownKey,
)

/** A time to wait, in whole seconds; 0 if missing. */
function seconds(description: string) {
  return v.optional(
    v.pipe(
      v.string(),
      v.description(description),
      v.regex(/^\d{1,3}$/, MUST_BE_SECONDS),
      v.transform(Number),
      v.maxValue(600, MUST_BE_SECONDS),
    ),
    '0',
  )
}

const MUST_BE_SECONDS = 'must be a number of seconds from 0 to 600'

/** Of what replaces or removes an upstream. */
const drainEntries = {
  drain_wait_s: seconds(
    'Once the change is served, wait at most this long until NGINX can send nothing more to the upstream that was replaced or removed (receipt.former)',
  ),
}

/** Of `PUT /proxies/{droplet_name}` and `POST /proxies`. */
export const PutQuery = v.strictObject(
  {
    ...dryRunEntries,
    health_wait_s: seconds(
      'Wait this long for the upstream to become healthy: it is asked each second, and the change is made after the first healthy answer',
    ),
    ...drainEntries,
  },
  unknownKey,
)

const digits = (pattern: RegExp, message: string, description: string) =>
  v.pipe(v.string(), v.description(description), v.regex(pattern, message), v.transform(Number))

/** Of `GET /events`. */
export const EventsQuery = v.strictObject(
  {
    after: v.optional(digits(/^\d{1,16}$/, 'must be the id of an event', 'Only events after the one with this id')),
    limit: v.optional(
      digits(
        /^([1-9]\d{0,2}|1000)$/,
        'must be a number from 1 to 1000',
        'At most this many events; no limit of a stream',
      ),
      '100',
    ),
    type: v.optional(
      v.pipe(
        v.picklist([...EVENT_TYPES, PROGRESS], 'must be a type of events'),
        v.description('Only events of this type; progress is only on streams'),
      ),
    ),
    droplet_name: v.optional(v.pipe(DropletName, v.description('Only events of this droplet'))),
    correlation_id: v.optional(
      v.pipe(
        v.string(),
        v.regex(CORRELATION_ID, 'must be a correlation id'),
        v.description('Only events of the call with this X-Correlation-ID'),
      ),
    ),
  },
  unknownKey,
)

const pem = (description: string) =>
  v.pipe(
    v.string('must be a string'),
    v.description(description),
    v.includes('-----BEGIN ', 'must be PEM'),
    v.maxLength(60_000, 'must be at most 60000 characters'),
  )

/** The body of `PUT /certificates/{name}`. No answer has either of them. */
export const PutCertificateBody = v.strictObject(
  {
    certificate: pem('The certificate, then those of its issuers in their order, as PEM'),
    private_key: pem(
      'Its private key, as PEM without a passphrase: RSA with 2048 to 8192 bits, or EC on P-256 or P-384',
    ),
  },
  objectMessage,
)

/** Of `DELETE /proxies/{droplet_name}`. */
export const DeleteQuery = v.strictObject(
  { ...dryRunEntries, ...drainEntries, delete_certificate: booleanParameter('Delete its certificate as well') },
  unknownKey,
)

const confirm = v.optional(
  v.pipe(
    v.string(),
    v.description(
      'How many routes to delete, if that is more than may be deleted without confirmation (409 BLAST_RADIUS)',
    ),
    v.regex(/^\d{1,6}$/, 'must be a number of routes'),
    v.transform(Number),
  ),
)

/** Of `POST /import`. */
export const ImportQuery = v.strictObject(
  {
    ...dryRunEntries,
    prune: booleanParameter('Delete routes that the document does not have'),
    require_healthy: v.optional(
      trueOrFalse('Whether a route is skipped if its upstream is not healthy, unless its require_healthy is false'),
      'true',
    ),
    confirm,
  },
  unknownKey,
)

/** Of a sync. */
export const SyncQuery = v.strictObject(
  {
    ...dryRunEntries,
    prune: booleanParameter('Delete routes that a previous sync created and the Registry no longer has'),
    require_healthy: booleanParameter('Skip droplets whose upstream is not healthy'),
    enable_ssl: v.optional(
      trueOrFalse('Whether HTTPS is wanted; if missing, routes keep what they have and new ones are HTTP'),
    ),
    confirm,
  },
  unknownKey,
)
