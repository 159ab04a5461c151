/** proxy-manager sites, proxy-manager adopt */

import { InvalidArgumentError, Option } from 'commander'
import * as v from 'valibot'
import { callApi } from '../../api-client.ts'
import type { CommandDefinition } from '../../command.ts'
import { describePlan, Finding, lineOf, Planned } from '../../describe.ts'
import { table } from '../../text.ts'

const Site = v.object({
  file: v.string(),
  verdict: v.string(),
  servers: v.array(v.object({ names: v.array(v.string()) })),
  routes: v.array(v.object({ droplet_name: v.string(), body: v.looseObject({ domain: v.string() }) })),
  differences: v.array(Finding),
  refusals: v.array(Finding),
})

export const sites: CommandDefinition = {
  name: 'sites',
  summary: 'List the hand-written sites of this host, and whether routes can serve them',
  options: [],
  details: () => `Example:
  proxy-manager sites --json

Each difference and each directive that no route can serve is shown with its
line. "proxy-manager adopt FILE" puts routes in the place of a file.`,
  run: async (_, context) => {
    const { json, shown } = await callApi(
      context,
      { method: 'GET', path: '/host/sites' },
      v.object({ sites: v.array(Site) }),
    )
    if (shown.sites.length === 0) return { json, text: 'No hand-written sites found.' }
    const rows = shown.sites.map(({ file, verdict, servers }) => [
      file,
      verdict.replaceAll('_', ' '),
      servers.flatMap(({ names }) => names).join(' '),
    ])
    const width = context.isTerminal ? context.columns : undefined
    const notes = shown.sites.flatMap(({ differences, refusals }) => [
      ...refusals.map((finding) => `${lineOf(finding)} (refused)`),
      ...differences.map(lineOf),
    ])
    return { json, text: [table(['FILE', 'VERDICT', 'NAMES'], rows, width), ...notes].join('\n') }
  },
}

export const adopt: CommandDefinition = {
  name: 'adopt',
  summary: 'Put routes in the place of a hand-written site, without interruption',
  expectsFile: 'A file of "proxy-manager sites"',
  options: [
    new Option('--name <domain=name>', 'Droplet name of the route of a domain, or of example.com/path; repeatable')
      .argParser(parseNames)
      .default({}, 'made from the domain'),
    new Option('--accept-differences', 'Adopt it although the routes do something otherwise'),
    new Option('--dry-run', 'Show what would change, without changing anything'),
  ],
  details: () => `Examples:
  proxy-manager adopt sites-enabled/shop --dry-run
  proxy-manager adopt sites-enabled/shop --accept-differences --name shop.example.com=shop

The file is one of "proxy-manager sites". It is adopted as a whole or not at all;
the file in sites-available stays, one that is not linked goes to the backups.`,
  run: async ({ file, options }, context) => {
    const body = { file, droplet_names: options.name, accept_differences: options.acceptDifferences === true }
    const call = { method: 'POST', path: '/host/sites/adopt', query: { dry_run: options.dryRun }, body } as const
    const differences = { differences: v.array(Finding) }
    if (options.dryRun) {
      const { json, shown } = await callApi(context, call, v.object({ ...differences, ...Planned.entries }))
      const planned = describePlan(json, shown)
      return { ...planned, text: [...shown.differences.map(lineOf), planned.text].join('\n') }
    }
    const routes = v.array(v.object({ droplet_name: v.string(), domain: v.string() }))
    const { json, shown } = await callApi(context, call, v.object({ ...differences, routes }))
    const rows = shown.routes.map(({ droplet_name, domain }) => [droplet_name, domain])
    return { json, text: [`${file} is adopted.`, '', table(['NAME', 'DOMAIN'], rows)].join('\n') }
  },
}

function parseNames(text: string, before: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const [, place, name] = /^([^=]+)=([^=]+)$/.exec(text) ?? []
  if (place === undefined || name === undefined)
    throw new InvalidArgumentError('Expected a domain and a name, such as example.com=app.')
  return { ...before, [place]: name }
}
