/** The commands about the manager as a whole: sync and health. */

import * as v from 'valibot'
import { callApi } from '../api-client.ts'
import { type Command, misuse } from '../command.ts'
import { describePlan, Planned } from '../describe.ts'
import { fields } from '../text.ts'

export const Names = v.array(v.string())
const Summary = v.object({
  created: Names,
  updated: Names,
  unchanged: Names,
  deleted: Names,
  skipped: v.array(v.object({ name: v.string(), reason: v.string() })),
  orphaned: Names,
  plan: v.optional(Planned.entries.plan),
})

export const sync: Command = {
  name: 'sync',
  summary: 'Bring routes in line with the Registry',
  options: [
    { name: 'dry-run', help: 'Show what would change; nothing is changed' },
    { name: 'prune', help: 'Delete routes of former syncs that the Registry no longer has' },
    { name: 'confirm', value: 'N', help: 'Delete N routes, where that is more than one sync may delete' },
    { name: 'require-healthy', help: 'Probe each upstream first' },
    { name: 'ssl', help: 'Want HTTPS for all of them (--no-ssl: for none); left out, each keeps what it has' },
  ],
  more: () => `Examples:
  proxy-manager sync --dry-run --prune
  proxy-manager sync --prune --confirm 5

Ends with 0 also where droplets were skipped: look at the last lines; with 1 where the API refuses, or NGINX in a dry run.
`,
  run: async ({ text, flag }, world) => {
    const confirm = text('confirm')
    if (confirm !== undefined && !/^\d{1,6}$/.test(confirm)) throw misuse(sync, '--confirm takes a number of routes')
    const query = {
      dry_run: flag('dry-run'),
      prune: flag('prune'),
      confirm,
      require_healthy: flag('require-healthy'),
      enable_ssl: flag('ssl'),
    }
    const call = { method: 'POST', path: '/proxy-manager/sync-from-registry', query } as const
    const { json, shown } = await callApi(world, call, Summary)
    const named = (names: readonly string[]) => `${names.length}${names.length === 0 ? '' : `: ${names.join(', ')}`}`
    const skipped = shown.skipped.map(({ name, reason }) => `${name}: ${reason}`)
    const summary = fields({
      created: named(shown.created),
      updated: named(shown.updated),
      unchanged: named(shown.unchanged),
      deleted: named(shown.deleted),
      orphaned: named(shown.orphaned),
      skipped: skipped.length === 0 ? '0' : skipped,
    })
    if (shown.plan === undefined) return { json, text: summary }
    const planned = describePlan(json, { plan: shown.plan })
    return { ...planned, text: `${summary}\n\n${planned.text}` }
  },
}
