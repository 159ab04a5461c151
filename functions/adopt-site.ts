import * as v from 'valibot'
import { CHANGE_ERRORS, Plan, Receipt } from '../lib/http/answer-schemas.ts'
import { planOf } from '../lib/http/answers.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { PROXY, RECEIPT, SITE } from '../lib/http/openapi/samples.ts'
import { DryRun, NoParams } from '../lib/http/parameters.ts'
import { DropletName } from '../lib/route/droplet-name.ts'
import { objectMessage } from '../lib/route/spec.ts'
import { ProxyState } from '../lib/route/state.ts'
import { SiteFinding } from '../lib/sites/shown-site.ts'

const MAX_NAMES = 1000

const Body = v.strictObject(
  {
    file: v.pipe(v.string('must be a string'), v.description('A file of GET /host/sites, as it is there')),
    droplet_names: v.optional(
      v.pipe(
        v.record(v.string(), DropletName, 'must be a JSON object'),
        v.maxEntries(MAX_NAMES, `must be at most ${MAX_NAMES} names`),
        v.description('Names for its routes, by domain, or by domain and path such as example.com/api'),
      ),
      {},
    ),
    accept_differences: v.optional(
      v.pipe(v.boolean('must be true or false'), v.description('Adopt it although the routes do something otherwise')),
      false,
    ),
  },
  objectMessage,
)

/** Puts routes in the place of a hand-written site. */
export default endpoint(
  {
    operationId: 'adoptSite',
    summary: 'Put routes in the place of a hand-written site',
    description:
      'One batch, one reload: NGINX serves the names of the file without interruption. The symlink in sites-enabled goes; a file that is not linked goes to the backups. All of it or nothing.',
    method: 'POST',
    path: '/host/sites/adopt',
    params: NoParams,
    query: DryRun,
    body: Body,
    responses: {
      200: {
        description: 'Served by the routes; or a dry run, which accepts every difference',
        schema: v.object({
          file: v.string(),
          routes: v.array(ProxyState),
          differences: v.array(SiteFinding),
          receipt: v.optional(Receipt),
          plan: v.optional(Plan),
        }),
        example: { file: SITE.file, routes: [PROXY], differences: SITE.differences, receipt: RECEIPT },
      },
    },
    errors: [
      'INVALID_REQUEST',
      'DROPLET_EXISTS',
      'DOMAIN_CONFLICT',
      'PAYLOAD_TOO_LARGE',
      'UNSUPPORTED_MEDIA_TYPE',
      'SITE_NOT_ADOPTABLE',
      'UPSTREAM_UNRESOLVABLE',
      'UPSTREAM_FORBIDDEN',
      'NGINX_UNSUPPORTED',
      ...CHANGE_ERRORS,
    ],
  },
  async ({ query, body: { file, droplet_names: dropletNames, accept_differences } }, { engine, origin }) => {
    const request = { file, dropletNames, origin }
    if (query.dry_run) {
      const { site, proxies, ...dryRun } = await engine.dryRunAdopt(request)
      const body = { file, routes: proxies, differences: site.differences, plan: planOf(dryRun) }
      return { status: 200, body, logFields: { dry_run: true } }
    }
    const { site, proxies, receipt } = await engine.adoptSite({ ...request, acceptsDifferences: accept_differences })
    return {
      status: 200,
      body: { file, routes: proxies, differences: site.differences, receipt },
      logFields: { file, routes: proxies.length, generation: receipt.generation },
    }
  },
)
