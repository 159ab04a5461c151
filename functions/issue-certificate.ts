import * as v from 'valibot'
import { CertifiedProxy, CHANGE_ERRORS, IssueDryRun } from '../lib/http/answer-schemas.ts'
import { certifiedAnswer, issueDryRunAnswer } from '../lib/http/answers.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { CERTIFICATE, DOMAIN, DROPLET, RECEIPT } from '../lib/http/openapi/samples.ts'
import { DryRun } from '../lib/http/parameters.ts'
import { DropletName } from '../lib/route/droplet-name.ts'
import { EMAIL } from '../lib/settings/settings.ts'

/** Obtains or renews the certificate of a route's domain, and switches the route to HTTPS. The body is optional. */
export default endpoint(
  {
    operationId: 'issueCertificate',
    summary: 'Obtain or renew the certificate of a route, and serve it over HTTPS',
    description:
      "Takes as long as certbot does. Nothing is ordered while more than a third of the current certificate's lifetime is left, and none for a route that is served with another certificate than its own, unless force_renew is true.",
    method: 'POST',
    path: '/proxies/:droplet_name/ssl',
    params: v.strictObject({ droplet_name: DropletName }),
    query: DryRun,
    body: v.strictObject(
      {
        email: v.optional(v.pipe(v.string('must be a string'), v.regex(EMAIL, 'must be an e-mail address'))),
        force_renew: v.optional(v.boolean('must be true or false'), false),
      },
      (issue) => (issue.expected === 'never' ? 'is not a known field' : 'must be a JSON object'),
    ),
    responses: {
      200: {
        description:
          'Served over HTTPS with this certificate, whether it was just ordered or already there; or a dry run',
        schema: v.union([CertifiedProxy, IssueDryRun]),
        example: {
          droplet_name: DROPLET,
          domain: DOMAIN,
          status: 'active',
          expiry: CERTIFICATE.expiry,
          issuer: CERTIFICATE.issuer,
          certificate: CERTIFICATE,
          ordered: true,
          preflight: [{ check: 'dns', domain: DOMAIN, ok: true, detail: `${DOMAIN} resolves to 192.0.2.7` }],
          receipt: RECEIPT,
        },
        headers: { ETag: 'sometimes', 'Server-Timing': 'sometimes' },
      },
    },
    errors: [
      'INVALID_REQUEST',
      'PROXY_NOT_FOUND',
      'PRECONDITION_FAILED',
      'CERTIFICATE_INVALID',
      'PAYLOAD_TOO_LARGE',
      'UNSUPPORTED_MEDIA_TYPE',
      'SSL_RATE_LIMITED',
      'SSL_ISSUANCE_FAILED',
      'SSL_UNAVAILABLE',
      'NGINX_UNSUPPORTED',
      ...CHANGE_ERRORS,
    ],
  },
  async ({ params, query, body }, { engine, origin, signal }) => {
    const request = {
      dropletName: params.droplet_name,
      email: body.email,
      forceRenew: body.force_renew,
      origin,
      signal,
    }
    return query.dry_run
      ? issueDryRunAnswer(await engine.dryRunIssue(request))
      : certifiedAnswer(await engine.issueCertificate(request))
  },
)
