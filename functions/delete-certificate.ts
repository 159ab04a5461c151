import * as v from 'valibot'
import { CertificateName } from '../lib/certificates/certificate.ts'
import { DeletedCertificate } from '../lib/http/answer-schemas.ts'
import { planOf } from '../lib/http/answers.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { DryRun } from '../lib/http/parameters.ts'

/** Deletes an uploaded certificate and its key. A lineage of certbot's is never deleted by this call. */
export default endpoint(
  {
    operationId: 'deleteCertificate',
    summary: 'Delete an uploaded certificate that no route uses',
    description: 'While a route has chosen it, or is served with it, the answer is 409 with the names of these routes.',
    method: 'DELETE',
    path: '/certificates/:name',
    params: v.strictObject({ name: CertificateName }),
    query: DryRun,
    body: undefined,
    responses: {
      200: {
        description: 'Deleted; or a dry run',
        schema: DeletedCertificate,
        example: { status: 'deleted', name: 'corp' },
      },
    },
    errors: [
      'INVALID_REQUEST',
      'CERTIFICATE_NOT_FOUND',
      'CERTIFICATE_IN_USE',
      'NGINX_RELOAD_FAILED',
      'CONFIG_READ_FAILED',
      'CONFIG_WRITE_FAILED',
      'BUSY',
    ],
  },
  async ({ params: { name }, query }, { engine, origin }) => {
    if (query.dry_run) {
      const plan = planOf(await engine.dryRunDeleteCertificate(name))
      return { status: 200, body: { status: 'would_delete', name, plan }, logFields: { dry_run: true } }
    }
    await engine.deleteCertificate({ name, origin })
    return { status: 200, body: { status: 'deleted', name }, logFields: { certificate: name } }
  },
)
