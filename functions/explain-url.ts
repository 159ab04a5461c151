import * as v from 'valibot'
import { readUrl } from '../lib/explanation/asked-url.ts'
import { Explanation } from '../lib/explanation/explanation.ts'
import { endpoint, NoParams, unknownKey } from '../lib/http/endpoint.ts'
import { CERTIFICATE, DOMAIN, PROXY } from '../lib/http/openapi/samples.ts'

const Query = v.strictObject(
  {
    url: v.pipe(
      v.string(),
      v.description('The absolute URL, with http or https'),
      v.rawTransform(({ dataset, addIssue, NEVER }) => {
        const url = readUrl(dataset.value)
        if (!('fault' in url)) return url
        addIssue({ message: url.fault })
        return NEVER
      }),
    ),
  },
  ({ expected }) => (expected === 'never' ? unknownKey() : 'is required'),
)

const { droplet_name, upstream, status, health, updated_at, updated_by } = PROXY
const { domains, issuer, expiry, fingerprint_sha256 } = CERTIFICATE

/** What answers a URL, and what NGINX itself says. */
export default endpoint(
  {
    operationId: 'explainUrl',
    summary: 'Explain what answers a URL',
    description:
      'Names the server block, the location, the certificate and the route that answer by the rules of NGINX, and asks NGINX on this host with a HEAD, which reaches the droplet like that of any client. The host of the URL is neither resolved nor connected to.',
    method: 'GET',
    path: '/explain',
    params: NoParams,
    query: Query,
    body: undefined,
    responses: {
      200: {
        description: 'What answers it, also if that is nothing',
        schema: Explanation,
        example: {
          url: `https://${DOMAIN}/`,
          summary: `Route ${droplet_name} answers (sites-enabled/fpai-${droplet_name}.conf, line 18), from ${upstream} (healthy). NGINX answered 200.`,
          server_block: {
            kind: 'route',
            file: `sites-enabled/fpai-${droplet_name}.conf`,
            line: 18,
            listen: '443',
            matched_by: 'exact',
            names: [DOMAIN],
            text: `server {\n    listen 443 ssl;\n    server_name ${DOMAIN};\n    …\n}`,
          },
          location: { match: '/', file: `sites-enabled/fpai-${droplet_name}.conf`, line: 40 },
          route: { droplet_name, path: '/', upstream, status, health, updated_at, updated_by },
          certificate: { domains, issuer, expiry, fingerprint_sha256, source: 'own' },
          nginx: {
            address: '127.0.0.1:443',
            status: 200,
            location: null,
            certificate_fingerprint: fingerprint_sha256,
            failure: null,
          },
          agrees: true,
          difference: null,
        },
      },
    },
    errors: ['INVALID_REQUEST', 'CONFIG_READ_FAILED'],
  },
  async ({ query }, { engine }) => {
    const explanation = await engine.explainUrl(query.url)
    return { status: 200, body: explanation, logFields: { outcome: explanation.server_block.kind } }
  },
)
