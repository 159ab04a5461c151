import * as v from 'valibot'
import { endpoint } from '../lib/http/endpoint.ts'
import { SITE } from '../lib/http/openapi/samples.ts'
import { NoParams, NoQuery } from '../lib/http/parameters.ts'
import { Site, shownSite } from '../lib/sites/shown-site.ts'

/** The server blocks of the host that Proxy Manager did not write. */
export default endpoint(
  {
    operationId: 'getHostSites',
    summary: 'The hand-written sites of the host, and the routes that could serve them',
    description:
      'Each file with a server block that Proxy Manager did not write, with what routes would do otherwise, by line, and what they cannot do. Nothing is changed. A token that may only read sees directives without their arguments, and headers without their values.',
    method: 'GET',
    path: '/host/sites',
    params: NoParams,
    query: NoQuery,
    body: undefined,
    responses: {
      200: {
        description: 'The files, in the order of NGINX',
        schema: v.object({ sites: v.array(Site) }),
        example: { sites: [SITE] },
      },
    },
    errors: ['INVALID_REQUEST', 'CONFIG_READ_FAILED'],
  },
  async (_, { engine, caller }) => {
    const isForReader = caller?.grant === 'read'
    const sites = (await engine.readSites()).map((site) => shownSite(site, isForReader))
    return { status: 200, body: { sites } }
  },
)
