/** proxy-manager ssl */

import * as v from 'valibot'
import { callApi, proxyPath } from '../api-client.ts'
import type { Command } from '../command.ts'
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

export const ssl: Command = {
  name: 'ssl',
  summary: 'Obtain or renew the certificate of a route, and serve it over HTTPS',
  takesName: true,
  options: [
    { name: 'force-renew', help: 'Order one although the present one is not due' },
    { name: 'email', value: 'ADDRESS', help: 'Contact that the CA is given' },
    {
      name: 'dry-run',
      help: 'Look whether the CA would get its answers, and show what would change; nothing is changed',
    },
  ],
  more: () => `Examples:
  proxy-manager ssl app --dry-run
  proxy-manager ssl app --email ops@example.com

Takes as long as the CA does: seconds, at most about three minutes.
`,
  run: async ({ name, text, flag }, world) => {
    const body = { email: text('email'), force_renew: flag('force-renew') }
    const call = { method: 'POST', path: `${proxyPath(name)}/ssl`, body } as const
    if (flag('dry-run') === true) {
      const { json, shown } = await callApi(world, { ...call, query: { dry_run: true } }, PlannedIssue)
      const asked = shown.would_order ? 'The CA would be asked.' : 'The CA would not be asked.'
      const planned = describePlan(json, shown)
      return { ...planned, text: [asked, ...describeChecks(shown.preflight), planned.text].join('\n') }
    }
    const { json, shown } = await callApi(world, call, Issued)
    const { domain, status, certificate, ordered, preflight } = shown
    return {
      json,
      text: fields({
        name,
        domain,
        status,
        certificate: `${certificate.issuer}, until ${certificate.expiry}${ordered ? '' : ' (it was there already)'}`,
        preflight: describeChecks(preflight),
      }),
    }
  },
}
