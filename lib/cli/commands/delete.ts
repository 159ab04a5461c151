/** proxy-manager delete */

import { Option } from 'commander'
import * as v from 'valibot'
import { callApi, proxyPath } from '../api-client.ts'
import type { CommandDefinition } from '../command.ts'
import { describeFormer, describePlan, Former, Planned } from '../describe.ts'
import { DRAIN_FLAG, waitOf } from './route-request.ts'

const Deleted = v.object({
  status: v.literal('deleted'),
  certificate_deleted: v.optional(v.boolean()),
  certificate_kept: v.optional(v.string()),
  receipt: v.optional(v.object({ former: v.optional(Former, []) }), {}),
})

export const remove: CommandDefinition = {
  name: 'delete',
  summary: 'Delete a route',
  expectsName: true,
  options: [
    new Option('--delete-certificate', 'Delete its certificate too'),
    DRAIN_FLAG,
    new Option('--dry-run', 'Show what would change, without changing anything'),
  ],
  details: () => `Examples:
  proxy-manager delete app --dry-run
  proxy-manager delete app --delete-certificate
  proxy-manager delete app --drain 30

The certificate is kept for a later route, unless --delete-certificate is given.`,
  run: async ({ name, options }, context) => {
    const { dryRun: dry_run, deleteCertificate: delete_certificate, drain: drain_wait_s } = options
    const query = { dry_run, delete_certificate, drain_wait_s }
    const call = { method: 'DELETE', path: proxyPath(name), query, waitS: waitOf(options) } as const
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
    const former = options.drain === undefined ? [] : describeFormer(shown.receipt.former)
    return { json, text: [`${name} deleted.${certificate}`, ...former].join('\n') }
  },
}
