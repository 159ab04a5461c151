/** proxy-manager sync */

import { InvalidArgumentError, Option } from 'commander'
import * as v from 'valibot'
import { callApi } from '../api-client.ts'
import type { CommandDefinition, Outcome } from '../command.ts'
import { describePlan, Planned } from '../describe.ts'
import { inCommandWords } from '../refusal.ts'
import { fields } from '../text.ts'

export const Names = v.array(v.string())
export const Summary = v.object({
  created: Names,
  updated: Names,
  unchanged: Names,
  deleted: Names,
  skipped: v.array(v.object({ name: v.string(), reason: v.string() })),
  orphaned: Names,
  plan: v.optional(Planned.entries.plan),
})

export const CONFIRM_FLAG = new Option(
  '--confirm <count>',
  'Number of routes to delete, if it exceeds what is deleted without confirmation',
).argParser(parseCount)

export const sync: CommandDefinition = {
  name: 'sync',
  summary: 'Synchronize the routes with the Registry',
  options: [
    new Option('--dry-run', 'Show what would change, without changing anything'),
    new Option('--prune', 'Delete routes of earlier syncs that are no longer in the Registry'),
    CONFIRM_FLAG,
    new Option('--require-healthy', 'Check each upstream first'),
    new Option('--ssl', 'Enable HTTPS on all routes (default: each route keeps its setting)'),
    new Option('--no-ssl', 'Disable HTTPS on all routes'),
  ],
  details: () => `Examples:
  proxy-manager sync --dry-run --prune
  proxy-manager sync --prune --confirm 5

Exit status: 0 even if droplets were skipped (see the last lines of the output),
1 if the API refuses the sync or NGINX rejects the dry run.`,
  run: async ({ options }, context) => {
    const query = {
      dry_run: options.dryRun,
      prune: options.prune,
      confirm: options.confirm,
      require_healthy: options.requireHealthy,
      enable_ssl: options.ssl,
    }
    const call = { method: 'POST', path: '/proxy-manager/sync-from-registry', query } as const
    const { json, shown } = await callApi(context, call, Summary)
    return describeSummary(json, shown)
  },
}

/** What became of many routes; with the plan, if it was a dry run. */
export function describeSummary(json: unknown, shown: v.InferOutput<typeof Summary>): Outcome {
  const countAndNames = (names: readonly string[]) =>
    [String(names.length), names.join(', ')].filter(Boolean).join(': ')
  const skipped = shown.skipped.map(({ name, reason }) => `${name}: ${inCommandWords(reason)}`)
  const summary = fields({
    created: countAndNames(shown.created),
    updated: countAndNames(shown.updated),
    unchanged: countAndNames(shown.unchanged),
    deleted: countAndNames(shown.deleted),
    orphaned: countAndNames(shown.orphaned),
    skipped: skipped.length === 0 ? '0' : skipped,
  })
  if (shown.plan === undefined) return { json, text: summary }
  const planned = describePlan(json, { plan: shown.plan })
  return { ...planned, text: `${summary}\n\n${planned.text}` }
}

function parseCount(text: string): string {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('Expected a number of routes.')
  return text
}
