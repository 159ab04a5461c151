import * as v from 'valibot'
import { endpoint, NoParams, NoQuery } from '../lib/http/endpoint.ts'
import { LINEAGE, UPLOADED } from '../lib/http/openapi/samples.ts'
import { CertificateEntry } from '../lib/issuance/inventory.ts'

/** Every certificate of certbot's, and every uploaded one, without keys. */
export default endpoint(
  {
    operationId: 'listCertificates',
    summary: 'List every certificate with the routes that use it',
    description: "certbot's lineages, whoever made them, then uploaded certificates, each sorted by name.",
    method: 'GET',
    path: '/certificates',
    params: NoParams,
    query: NoQuery,
    body: undefined,
    responses: {
      200: {
        description: 'Every certificate',
        schema: v.array(CertificateEntry),
        example: [LINEAGE, UPLOADED],
      },
    },
    errors: ['INVALID_REQUEST', 'CONFIG_READ_FAILED'],
  },
  async (_call, { engine }) => ({ status: 200, body: await engine.listCertificates() }),
)
