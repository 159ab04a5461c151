/** All routes of a host as one JSON document: what `GET /export` answers and `POST /import` expects. */
import * as v from 'valibot'
import { CertificateChoice } from '../certificates/certificate.ts'
import { routeOf } from '../history/history.ts'
import { withoutDefaults } from '../route/options.ts'
import { ExportedRoute, objectMessage } from '../route/spec.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'

const MAX_ROUTES = 10_000

/** The document. Each route is the body of a PUT, with its name. */
export const RoutesFile = v.strictObject(
  {
    version: v.literal(1, 'must be 1'),
    routes: v.pipe(
      v.array(ExportedRoute, 'must be a list'),
      v.maxLength(MAX_ROUTES, `must be at most ${MAX_ROUTES} routes`),
      v.check(
        (routes) => new Set(routes.map(({ droplet_name }) => droplet_name)).size === routes.length,
        'must not have a droplet_name twice',
      ),
    ),
    certificates: v.optional(
      v.pipe(
        v.array(CertificateChoice),
        v.description('Those that routes name, which this document does not have: they must be on the host already'),
      ),
      [],
    ),
  },
  objectMessage,
)
export type RoutesFile = v.InferOutput<typeof RoutesFile>
export type ExportedRoutes = v.InferInput<typeof RoutesFile>

/** The document of these routes: sorted by name, without times, secrets, and options that have their defaults; the same bytes for the same routes. */
export function routesFile(routes: Iterable<SnapshotRoute>): ExportedRoutes {
  const exported = [...routes].map(({ record }) => {
    const options = withoutDefaults(record.options)
    return {
      droplet_name: record.droplet_name,
      ...(record.source === 'registry' ? { source: record.source } : {}),
      ...routeOf(record),
      options: Object.keys(options).length === 0 ? undefined : options,
    }
  })
  const chosen = exported.flatMap(({ certificate }) => certificate ?? [])
  const certificates = [...new Map(chosen.map((one) => [JSON.stringify(one), one])).entries()].sort()
  return {
    version: 1,
    routes: exported.sort((a, b) => (a.droplet_name < b.droplet_name ? -1 : 1)),
    certificates: certificates.map(([, one]) => one),
  }
}
