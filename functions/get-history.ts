import * as v from 'valibot'
import { ActorSchema } from '../lib/events/event.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { AT, DROPLET, PROXY } from '../lib/http/openapi/samples.ts'
import { NoQuery } from '../lib/http/parameters.ts'
import { jsonDiff } from '../lib/plan/diff.ts'
import { DropletName } from '../lib/route/droplet-name.ts'

const help = <const T extends v.GenericSchema>(schema: T, text: string) => v.pipe(schema, v.description(text))

const Shown = v.object({
  version: help(v.number(), 'Pass this to a rollback'),
  at: help(v.string(), 'ISO 8601'),
  actor: v.optional(ActorSchema),
  correlation_id: v.optional(v.string()),
  outcome: help(v.string(), 'created, replaced, renamed, rolled_back, deleted; found: it was there already'),
  generation: v.nullable(v.number()),
  route: help(v.nullable(v.record(v.string(), v.unknown())), 'As a PUT takes it; null if the route was deleted'),
  diff: help(v.string(), 'Against the version before'),
})

const { domain, upstream_host, upstream_port, enable_ssl, options } = PROXY
const ROUTE = { domain, upstream_host, upstream_port, enable_ssl, options }

/** What a route was. */
export default endpoint(
  {
    operationId: 'getHistory',
    summary: 'The last 50 versions of a route that were served, the newest first',
    description: 'A deleted route keeps its history for 30 days. Certificates are not part of a version.',
    method: 'GET',
    path: '/proxies/:droplet_name/history',
    params: v.strictObject({ droplet_name: DropletName }),
    query: NoQuery,
    body: undefined,
    responses: {
      200: {
        description: 'Its versions',
        schema: v.object({ droplet_name: v.string(), versions: v.array(Shown) }),
        example: {
          droplet_name: DROPLET,
          versions: [
            {
              version: 1,
              at: AT,
              actor: { kind: 'token', name: 'ci' },
              outcome: 'created',
              generation: 7,
              route: ROUTE,
              diff: jsonDiff(null, { domain }),
            },
          ],
        },
      },
    },
    errors: ['INVALID_REQUEST', 'PROXY_NOT_FOUND', 'CONFIG_READ_FAILED', 'BUSY'],
  },
  async ({ params }, { engine }) => {
    const versions = await engine.readHistory(params.droplet_name)
    const shown = versions.map((version, i) => ({
      ...version,
      diff: jsonDiff(versions[i + 1]?.route ?? null, version.route),
    }))
    return { status: 200, body: { droplet_name: params.droplet_name, versions: shown } }
  },
)
