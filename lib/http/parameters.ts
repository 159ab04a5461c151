/** What calls take in their query, where an endpoint and the messages that stand for its call have it in common. */

import * as v from 'valibot'
import { domainFor } from '../net/domain.ts'
import { ProxyStatus } from '../route/state.ts'

/** A parameter that is `true` or `false`, and false where it is left out. */
export function booleanParameter() {
  const word = v.picklist(['true', 'false'], 'must be true or false')
  return v.optional(
    v.pipe(
      word,
      v.transform((value) => value === 'true'),
    ),
    'false',
  )
}

/** `?dry_run=true`: say what would change, and change nothing. */
export const dryRunEntries = {
  dry_run: v.pipe(booleanParameter(), v.description('Answer what would change, and change nothing')),
}
export const DryRun = v.strictObject(dryRunEntries, unknownKey)
export const NoQuery = v.strictObject({}, unknownKey)
export const NoParams = v.strictObject({})

/** What is said of a query parameter that nobody knows. */
export function unknownKey(): string {
  return 'is not a known parameter'
}

const word = v.picklist(['true', 'false'], 'must be true or false')

/** Of `GET /proxies`. */
export const ListQuery = v.strictObject(
  {
    domain: v.optional(domainFor('Only the route that serves this domain, as its own or as an alias')),
    status: v.optional(
      v.pipe(
        v.picklist(ProxyStatus.options, `must be one of ${ProxyStatus.options.join(', ')}`),
        v.description('Only routes of this status'),
      ),
    ),
  },
  unknownKey,
)

/** Of `DELETE /proxies/{droplet_name}`. */
export const DeleteQuery = v.strictObject(
  { ...dryRunEntries, delete_certificate: v.pipe(booleanParameter(), v.description('Delete its certificate as well')) },
  unknownKey,
)

/** Of a sync. */
export const SyncQuery = v.strictObject(
  {
    ...dryRunEntries,
    prune: v.pipe(
      booleanParameter(),
      v.description('Delete routes that a former sync made and the Registry has no more'),
    ),
    require_healthy: v.pipe(booleanParameter(), v.description('Skip droplets whose upstream is not healthy')),
    enable_ssl: v.optional(
      v.pipe(
        word,
        v.description('Whether HTTPS is wanted; left out, routes keep what they have, and new ones are HTTP'),
        v.transform((value) => value === 'true'),
      ),
    ),
    confirm: v.optional(
      v.pipe(
        v.string(),
        v.description('How many routes are to be deleted, where they are more than go unconfirmed (409 BLAST_RADIUS)'),
        v.regex(/^\d{1,6}$/, 'must be a number of routes'),
        v.transform(Number),
      ),
    ),
  },
  unknownKey,
)
