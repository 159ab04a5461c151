/** proxy-manager export and apply */
import { Option } from 'commander'
import * as v from 'valibot'
import { callApi } from '../api-client.ts'
import { type CommandDefinition, CommandFailure, EXIT } from '../command.ts'
import { CONFIRM_FLAG, describeSummary, Summary } from './sync.ts'

export const exportRoutes: CommandDefinition = {
  name: 'export',
  summary: 'Print all routes as one JSON document, for apply',
  options: [],
  details: () => `Example:
  proxy-manager export > routes.json

The document has no secrets, and the same bytes as long as no route changes.`,
  run: async (_, context) => {
    const { json } = await callApi(context, { method: 'GET', path: '/export' }, v.looseObject({ version: v.number() }))
    return { json, text: JSON.stringify(json, null, 2) }
  },
}

export const apply: CommandDefinition = {
  name: 'apply',
  summary: 'Make the routes what a document of export says',
  expectsFile: 'A file, or - for standard input',
  options: [
    new Option('--dry-run', 'Show what would change, without changing anything'),
    new Option('--prune', 'Delete the routes that the document does not have'),
    CONFIRM_FLAG,
    new Option('--no-health-check', 'Do not check the upstreams first'),
  ],
  details: () => `Examples:
  proxy-manager apply routes.json --dry-run --prune
  ssh old-host proxy-manager export | proxy-manager apply -

Exit status: 0 if every route is as the document says, 1 if a route was skipped
(see the last lines of the output) or NGINX rejects the dry run.`,
  run: async ({ file, options }, context) => {
    const source = file === '-' ? { text: await context.readInput() } : context.read(file)
    if ('failure' in source) throw new CommandFailure(EXIT.usage, `${file} cannot be read (${source.failure})`)
    const body = parseDocument(file, source.text)
    const query = {
      dry_run: options.dryRun,
      prune: options.prune,
      confirm: options.confirm,
      require_healthy: options.healthCheck,
    }
    const call = { method: 'POST', path: '/import', query, body } as const
    const { json, shown } = await callApi(context, call, Summary)
    const outcome = describeSummary(json, shown)
    return shown.skipped.length === 0 ? outcome : { ...outcome, exitStatus: EXIT.refused }
  },
}

function parseDocument(file: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new CommandFailure(EXIT.usage, `${file} is not JSON`)
  }
}
