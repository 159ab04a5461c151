/** proxy-manager ssl */

import { Option } from 'commander'
import * as v from 'valibot'
import { callApi, proxyPath } from '../api-client.ts'
import type { CommandDefinition } from '../command.ts'
import { Certificate, describeChecks, describePlan, Planned, Preflight } from '../describe.ts'
import { fields } from '../text.ts'

const Issued = v.object({
  domain: v.string(),
  status: v.string(),
  certificate: Certificate,
  ordered: v.boolean(),
  preflight: Preflight,
})
const PlannedIssue = v.object({ ...Planned.entries, would_order: v.boolean(), preflight: Preflight })

export const ssl: CommandDefinition = {
  name: 'ssl',
  summary: 'Obtain or renew the certificate of a route and serve it over HTTPS',
  expectsName: true,
  options: [
    new Option('--force-renew', 'Order a certificate even if the present one is not due for renewal'),
    new Option('--email <address>', 'Contact address for a new account at the CA'),
    new Option('--dry-run', 'Run the preflight checks and show what would change, without changing anything'),
  ],
  details: () => `Examples:
  proxy-manager ssl app --dry-run
  proxy-manager ssl app --email ops@example.com

It takes as long as the CA does: seconds, at most about three minutes.`,
  run: async ({ name, options }, context) => {
    const body = { email: options.email, force_renew: options.forceRenew }
    const call = { method: 'POST', path: `${proxyPath(name)}/ssl`, body } as const
    if (options.dryRun) {
      const { json, shown } = await callApi(context, { ...call, query: { dry_run: true } }, PlannedIssue)
      const order = shown.would_order ? 'A certificate would be ordered.' : 'No certificate would be ordered.'
      const planned = describePlan(json, shown)
      return { ...planned, text: [order, ...describeChecks(shown.preflight), planned.text].join('\n') }
    }
    const { json, shown } = await callApi(context, call, Issued)
    const { domain, status, certificate, ordered, preflight } = shown
    return {
      json,
      text: fields({
        name,
        domain,
        status,
        certificate: `${certificate.issuer}, until ${certificate.expiry}${ordered ? '' : ' (already present)'}`,
        preflight: describeChecks(preflight),
      }),
    }
  },
}
