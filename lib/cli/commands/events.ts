/** proxy-manager events */

import { Option } from 'commander'
import * as v from 'valibot'
import { callApi, streamApi } from '../api-client.ts'
import type { CommandDefinition } from '../command.ts'
import { plainJson, printable } from '../text.ts'

const Event = v.looseObject({
  at: v.string(),
  type: v.string(),
  droplet_name: v.optional(v.string()),
  domain: v.optional(v.string()),
  actor: v.looseObject({ kind: v.string(), name: v.optional(v.string()) }),
  outcome: v.optional(v.string()),
  error_code: v.optional(v.string()),
  generation: v.optional(v.number()),
})
const Events = v.object({ events: v.array(Event) })

export const events: CommandDefinition = {
  name: 'events',
  summary: 'Show what happened, and by whom',
  options: [
    new Option('--follow', 'Go on with what happens, until Ctrl-C'),
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
    const after = { after: shown.next, type, droplet_name: droplet }
    return await streamApi(context, { method: 'GET', path: '/events', query: after }, Event, print)
  },
}

function lineOf(event: v.InferOutput<typeof Event>): string {
  const { at, type, droplet_name, domain, actor, outcome, error_code, generation } = event
  const by = actor.name === undefined ? actor.kind : `${actor.kind} ${actor.name}`
  const what = [
    droplet_name,
    domain,
    error_code ?? outcome,
    generation === undefined ? undefined : `generation ${generation}`,
  ]
  return [at, type, ...what, `by ${by}`].filter((part) => part !== undefined).join('  ')
}
