/** proxy-manager delete */

import { Option } from 'commander'
import * as v from 'valibot'
import { callApi, proxyPath } from '../api-client.ts'
import type { CommandDefinition } from '../command.ts'
import { describePlan, Planned } from '../describe.ts'

const Deleted = v.object({
  status: v.literal('deleted'),
  certificate_deleted: v.optional(v.boolean()),
  certificate_kept: v.optional(v.string()),
})

export const remove: CommandDefinition = {
  name: 'delete',
  summary: 'Delete a route',
  expectsName: true,
  options: [
    new Option('--delete-certificate', 'Delete its certificate too'),
    new Option('--dry-run', 'Show what would change, without changing anything'),
  ],
  details: () => `Examples:
  proxy-manager delete app --dry-run
  proxy-manager delete app --delete-certificate

The certificate is kept for a later route, unless --delete-certificate is given.`,
  run: async ({ name, options }, context) => {
    const query = { dry_run: options.dryRun, delete_certificate: options.deleteCertificate }
    const call = { method: 'DELETE', path: proxyPath(name), query } as const
    if (options.dryRun) {
      const { json, shown } = await callApi(context, call, Planned)
      return describePlan(json, shown)
    }
    const { json, shown } = await callApi(context, call, Deleted)
    const certificate =
      shown.certificate_deleted === undefined
        ? ''
        : shown.certificate_deleted
          ? ' Its certificate was deleted.'
          : ` Its certificate was not deleted: ${shown.certificate_kept ?? "see the API's log"}.`
    return { json, text: `${name} deleted.${certificate}` }
  },
}
