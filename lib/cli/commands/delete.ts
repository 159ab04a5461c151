/** proxy-manager delete */

import * as v from 'valibot'
import { callApi, proxyPath } from '../api-client.ts'
import type { Command } from '../command.ts'
import { describePlan, Planned } from '../describe.ts'

const Deleted = v.object({ status: v.literal('deleted'), certificate_deleted: v.optional(v.boolean()) })

export const remove: Command = {
  name: 'delete',
  summary: 'Remove a route',
  takesName: true,
  options: [
    { name: 'delete-certificate', help: 'Delete its certificate as well' },
    { name: 'dry-run', help: 'Show what would change; nothing is changed' },
  ],
  more: () => 'Example:\n  proxy-manager delete app --delete-certificate\n',
  run: async ({ name, flag }, world) => {
    const path = proxyPath(name)
    if (flag('dry-run') === true) {
      const query = { dry_run: true, delete_certificate: flag('delete-certificate') }
      const { json, shown } = await callApi(world, { method: 'DELETE', path, query }, Planned)
      return describePlan(json, shown)
    }
    const query = { delete_certificate: flag('delete-certificate') }
    const { json, shown } = await callApi(world, { method: 'DELETE', path, query }, Deleted)
    const certificate =
      shown.certificate_deleted === undefined
        ? ''
        : shown.certificate_deleted
          ? ' Its certificate is deleted.'
          : ' Its certificate is still there: see the log of the API.'
    return { json, text: `${name} is deleted.${certificate}` }
  },
}
