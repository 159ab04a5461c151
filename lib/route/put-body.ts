/** The body of a PUT, which can be the answer of a GET as it is. */
import * as v from 'valibot'
import { CertificateChoice } from '../certificates/certificate.ts'
import { UpstreamHost, UpstreamPort, UpstreamUrl } from '../upstream/upstream.ts'
import { DropletName } from './droplet-name.ts'
import { bodyEntries, checkBody, checkTogether, objectMessage, toSpec } from './spec.ts'

const READ_ONLY = [
  'ssl_enabled',
  'status',
  'served_by',
  'source',
  'last_health_status',
  'last_health_checked_at',
  'health',
  'ssl_error',
  'ssl_order',
  'draining',
  'created_at',
  'updated_at',
  'updated_by',
  'receipt',
  'next',
] as const
const readOnly = v.optional(
  v.pipe(v.unknown(), v.description('Ignored: what an answer has'), v.metadata({ readOnly: true })),
)

const ServedCertificate = v.pipe(
  v.looseObject({ fingerprint_sha256: v.string() }),
  v.transform(() => null),
)

/** Fields of an answer that say what is, and nothing that a caller could set. */
const answeredEntries = {
  ...v.entriesFromList(READ_ONLY, readOnly),
  upstream_host: v.optional(orAbsent(UpstreamHost)),
  upstream_port: v.optional(orAbsent(UpstreamPort)),
  upstream: v.optional(orAbsent(UpstreamUrl)),
  /** In an answer it is the certificate that is served; `certificate_from` is the choice. */
  certificate: v.optional(
    v.nullable(
      v.union(
        [...CertificateChoice.options, ServedCertificate],
        'must be null, or have the name of a lineage or of an uploaded certificate',
      ),
    ),
    null,
  ),
}

/**
 * The body of `PUT /proxies/{droplet_name}`: a route, or the answer of a GET as it is. Of that, `droplet_name` must be the one of the path, and
 * `revision` counts like `If-Match`.
 */
export const PutBody = v.pipe(
  v.strictObject(
    {
      ...bodyEntries,
      ...answeredEntries,
      certificate_from: v.optional(CertificateChoice),
      droplet_name: v.optional(DropletName),
      revision: v.optional(
        v.pipe(v.string('must be a string'), v.description('The one that the route must have, like If-Match')),
      ),
    },
    objectMessage,
  ),
  v.rawCheck(({ dataset, addIssue }) => {
    checkBody(dataset.value, addIssue)
    if (dataset.typed) checkTogether(dataset.value, addIssue)
  }),
  v.transform(({ droplet_name, revision, certificate_from, ...body }) => {
    const certificate = body.certificate ?? certificate_from ?? null
    return { droplet_name, revision, spec: toSpec({ ...body, certificate }) }
  }),
)

/** A value whose null means that it is absent. */
function orAbsent<const T extends v.GenericSchema>(schema: T) {
  return v.pipe(
    v.nullable(schema),
    v.transform((value) => value ?? undefined),
  )
}
