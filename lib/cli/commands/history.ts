/** proxy-manager events, proxy-manager history, proxy-manager rollback */

import { InvalidArgumentError, Option } from 'commander'
import * as v from 'valibot'
import { PROGRESS } from '../../events/progress.ts'
import { callApi, followEvents, proxyPath } from '../api-client.ts'
import type { CommandDefinition } from '../command.ts'
import { Actor, describeActor, describePlan, describeRoute, Planned, Route } from '../describe.ts'
import { plainJson, printable, table } from '../text.ts'

const History = v.object({
  versions: v.array(
    v.looseObject({
      version: v.number(),
      at: v.string(),
      actor: v.optional(Actor),
      outcome: v.string(),
      diff: v.string(),
    }),
  ),
})

export const history: CommandDefinition = {
  name: 'history',
  summary: 'Show the versions of a route that were served, also of a deleted one',
  expectsName: true,
  options: [new Option('--diff', 'Show what each version changed')],
  details: () => 'Examples:\n  proxy-manager history app\n  proxy-manager history app --diff',
  run: async ({ name, options }, context) => {
    const call = { method: 'GET', path: `${proxyPath(name)}/history` } as const
    const { json, shown } = await callApi(context, call, History)
    const rows = shown.versions.map(({ version, at, outcome, actor }) => [
      String(version),
      at,
      outcome,
      actor?.name ?? actor?.kind ?? '-',
    ])
    const diffs = options.diff ? shown.versions.map(({ version, diff }) => `version ${version}\n${diff.trimEnd()}`) : []
    return { json, text: [table(['VERSION', 'AT', 'OUTCOME', 'BY'], rows), ...diffs].join('\n\n') }
  },
}

export const rollback: CommandDefinition = {
  name: 'rollback',
  summary: 'Put an earlier version of a route, also of a deleted one',
  expectsName: true,
  options: [
    new Option('--to <version>', 'A version of its history; the one before if missing').argParser(parseVersion),
    new Option('--dry-run', 'Show what would change, without changing anything'),
  ],
  details: () => `Examples:
  proxy-manager rollback app
  proxy-manager rollback app --to 3 --dry-run

It is a put of that version: its upstream is checked, and it can be refused.`,
  run: async ({ name, options }, context) => {
    const body = options.to === undefined ? {} : { to: options.to }
    const call = {
      method: 'POST',
      path: `${proxyPath(name)}/rollback`,
      query: { dry_run: options.dryRun },
      body,
    } as const
    if (options.dryRun) {
      const { json, shown } = await callApi(context, call, Planned)
      return describePlan(json, shown)
    }
    const { json, shown, timing } = await callApi(context, call, Route)
    return { json, text: `${name} rolled back.\n\n${describeRoute(shown, timing)}` }
  },
}

function parseVersion(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('Expected the number of a version.')
  return Number(text)
}

const Event = v.looseObject({
  at: v.string(),
  type: v.string(),
  droplet_name: v.optional(v.string()),
  domain: v.optional(v.string()),
  actor: Actor,
  outcome: v.optional(v.string()),
  error_code: v.optional(v.string()),
  generation: v.optional(v.number()),
  step: v.optional(v.string()),
})
const Events = v.object({ events: v.array(Event) })

export const events: CommandDefinition = {
  name: 'events',
  summary: 'Show what happened, and by whom',
  options: [
    new Option('--follow', 'Continue with what happens, until Ctrl-C'),
    new Option('--limit <number>', 'Show at most this many, the last ones (100)'),
    new Option('--type <type>', 'Only events of this type, such as route.replaced'),
    new Option('--droplet <name>', 'Only events of this droplet'),
  ],
  details: () => `Examples:
  proxy-manager events --droplet app
  proxy-manager events --follow --json`,
  run: async ({ options: { follow, limit, type, droplet }, isJson }, context) => {
    const query = { limit, type, droplet_name: droplet }
    const { json, shown } = await callApi(
      context,
      { method: 'GET', path: '/events', query },
      v.looseObject({ ...Events.entries, next: v.number() }),
    )
    const lines = shown.events.map(lineOf).join('\n')
    if (!follow) return { json, text: lines || 'No events found.' }
    const print = (event: v.InferOutput<typeof Event>) =>
      context.out(`${isJson ? plainJson(event, 0) : printable(lineOf(event))}\n`)
    for (const event of shown.events) print(event)
    return await followEvents(context, { after: shown.next, type, droplet_name: droplet }, (streamed) => {
      const event = v.safeParse(Event, streamed.json)
      // The steps of every call would hide what has happened.
      if (event.success && (type === PROGRESS || streamed.type !== PROGRESS)) print(event.output)
    })
  },
}

function lineOf(event: v.InferOutput<typeof Event>): string {
  const { at, type, droplet_name, domain, actor, outcome, error_code, generation, step } = event
  const what = [
    step,
    droplet_name,
    domain,
    error_code ?? outcome,
    generation === undefined ? undefined : `generation ${generation}`,
  ]
  return [at, type, ...what, `by ${describeActor(actor)}`].filter((part) => part !== undefined).join('  ')
}
