/** proxy-manager reconcile */

import { Option } from 'commander'
import * as v from 'valibot'
import { callApi } from '../../api-client.ts'
import type { CommandDefinition } from '../../command.ts'
import { describePlan, Planned } from '../../describe.ts'
import { fields } from '../../text.ts'
import { Names } from '../sync.ts'

const Summary = v.object({
  rendered: Names,
  shared_file: v.boolean(),
  drifted: Names,
  rejected: v.optional(Names, []),
  plan: v.optional(Planned.entries.plan),
})

export const reconcile: CommandDefinition = {
  name: 'reconcile',
  summary: 'Render files again that no longer fit this host',
  options: [new Option('--dry-run', 'Show what would change, without changing anything')],
  details: () => `Example:
  proxy-manager reconcile --dry-run

This happens by itself at a start, once a minute and before every change. Routes
that were edited by hand are left as they are. It works while NGINX is stopped,
and may be what lets it start again.

Exit status: 1 if the API refuses it or NGINX rejects the dry run.`,
  run: async ({ options }, context) => {
    const call = { method: 'POST', path: '/proxy-manager/reconcile', query: { dry_run: options.dryRun } } as const
    const { json, shown } = await callApi(context, call, Summary)
    const list = (names: readonly string[]) => (names.length === 0 ? 'none' : names.join(', '))
    const summary = fields({
      rendered: list(shown.rendered),
      'shared file': shown.shared_file ? 'rendered' : 'current',
      drifted: list(shown.drifted),
      ...(shown.rejected.length === 0 ? {} : { 'rejected by NGINX': list(shown.rejected) }),
    })
    if (shown.plan === undefined) return { json, text: summary }
    const planned = describePlan(json, { plan: shown.plan })
    return { ...planned, text: `${summary}\n\n${planned.text}` }
  },
}
