import * as v from 'valibot'
import { CertificateName } from '../lib/certificates/certificate.ts'
import { CHANGE_ERRORS, StoredCertificate } from '../lib/http/answer-schemas.ts'
import { uploadAnswer, uploadDryRunAnswer } from '../lib/http/answers.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { RECEIPT, UPLOADED } from '../lib/http/openapi/samples.ts'
import { DryRun, PutCertificateBody } from '../lib/http/parameters.ts'

/** Stores a certificate with its key, and switches the routes that use its name to it. Idempotent. */
export default endpoint(
  {
    operationId: 'putCertificate',
    summary: 'Upload a certificate, or replace it on every route that uses it',
    description:
      'The key is never shown again. A 2xx means that the pair is on disk, and that a handshake showed it on every route that uses it; otherwise all of them are served as before.',
    method: 'PUT',
    path: '/certificates/:name',
    params: v.strictObject({ name: CertificateName }),
    query: DryRun,
    body: PutCertificateBody,
    responses: {
      200: {
        description: 'Replaced, or unchanged; or a dry run',
        schema: StoredCertificate,
        example: { ...UPLOADED, skipped: [], receipt: RECEIPT },
      },
      201: {
        description: 'Stored',
        schema: StoredCertificate,
        example: { ...UPLOADED, users: [], skipped: [] },
      },
    },
    errors: ['INVALID_REQUEST', 'PAYLOAD_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE', 'CERTIFICATE_INVALID', ...CHANGE_ERRORS],
  },
  async ({ params: { name }, query, body }, { engine, origin }) => {
    const request = { name, certificate: body.certificate, privateKey: body.private_key, origin }
    return query.dry_run
      ? uploadDryRunAnswer(await engine.dryRunPutCertificate(request))
      : uploadAnswer(await engine.putCertificate(request))
  },
)
