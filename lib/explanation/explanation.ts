/** What the API says about a URL. */
import * as v from 'valibot'
import { ActorSchema } from '../events/event.ts'
import { CertificateSource, ProxyStatus } from '../route/state.ts'
import { HealthSummary } from '../upstream/health-history.ts'

const help = <const T extends v.GenericSchema>(schema: T, text: string) => v.pipe(schema, v.description(text))

const BlockKind = help(
  v.picklist(['route', 'hand_written', 'shared', 'default_server', 'none']),
  'route: of a route; hand_written: of another author, with this name; shared: our catch-all, or our own block on loopback; default_server: no block has the name, and this one gets unknown names; none: NGINX does not listen there, or not for this scheme',
)
export type BlockKind = v.InferOutput<typeof BlockKind>

const place = {
  file: help(v.nullable(v.string()), 'As in GET /host/sites'),
  line: v.nullable(v.number()),
}

export const ShownBlock = v.object({
  kind: BlockKind,
  ...place,
  listen: help(v.nullable(v.string()), 'The address and port that it was chosen for'),
  matched_by: help(
    v.nullable(v.picklist(['exact', 'wildcard', 'regex', 'default_server', 'first'])),
    'Why it was chosen: its name; or, since no block has the name, because it is the default server, or the first block of that address',
  ),
  names: help(v.array(v.string()), 'Its server_name'),
  text: help(v.nullable(v.string()), 'Null unless Proxy Manager wrote it: a hand-written block may have secrets'),
})
export type ShownBlock = v.InferOutput<typeof ShownBlock>

const ShownRoute = v.object({
  droplet_name: v.string(),
  path: v.string(),
  upstream: v.nullable(v.string()),
  status: ProxyStatus,
  health: HealthSummary,
  updated_at: v.string(),
  updated_by: help(v.nullable(ActorSchema), 'Who made its newest version; null if that is not known'),
})
export type ShownRoute = v.InferOutput<typeof ShownRoute>

const PresentedCertificate = v.object({
  domains: v.array(v.string()),
  issuer: v.string(),
  expiry: v.string(),
  fingerprint_sha256: v.string(),
  source: help(
    v.picklist([...CertificateSource.options, 'hand_written']),
    'As of a route; hand_written: that of a hand-written block',
  ),
})
export type PresentedCertificate = v.InferOutput<typeof PresentedCertificate>

const Answered = v.object({
  address: help(v.string(), 'The address of this host that was asked'),
  status: v.nullable(v.number()),
  location: v.nullable(v.string()),
  certificate_fingerprint: help(v.nullable(v.string()), 'SHA-256 of the certificate that was presented'),
  failure: help(v.nullable(v.string()), 'How the connection ended without an answer'),
})
export type Answered = v.InferOutput<typeof Answered>

export const Explanation = v.object({
  url: help(v.string(), 'As a browser sends it'),
  summary: v.string(),
  server_block: ShownBlock,
  location: v.nullable(v.object({ match: v.string(), ...place })),
  route: v.nullable(ShownRoute),
  certificate: v.nullable(PresentedCertificate),
  nginx: help(v.nullable(Answered), 'What NGINX itself answered to a HEAD; null if it was not asked'),
  agrees: help(v.nullable(v.boolean()), 'Whether NGINX did what its configuration says; null if that is not known'),
  difference: help(v.nullable(v.string()), 'What NGINX did otherwise, or why that is not known'),
  elsewhere: v.optional(
    help(
      v.array(v.object({ kind: BlockKind, ...place, listen: v.string() })),
      'Other addresses of this host at which another block answers',
    ),
  ),
})
export type Explanation = v.InferOutput<typeof Explanation>
