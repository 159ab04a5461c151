/** proxy-manager get and check */
import * as v from 'valibot'
import { callApi, proxyPath } from '../api-client.ts'
import { type CommandDefinition, EXIT } from '../command.ts'
import { describeChecked, describeRoute, Health, Route } from '../describe.ts'
import { fields } from '../text.ts'

export const get: CommandDefinition = {
  name: 'get',
  summary: 'Show one route with the health of its upstream and its certificate',
  expectsName: true,
  options: [],
  details: () => 'Example:\n  proxy-manager get app',
  run: async ({ name }, context) => {
    const { json, shown } = await callApi(context, { method: 'GET', path: proxyPath(name) }, Route)
    return { json, text: describeRoute(shown) }
  },
}

const Checked = v.object({
  upstream: v.string(),
  ok: v.boolean(),
  latency_ms: v.number(),
  failure: v.nullable(v.string()),
  attempts: v.array(
    v.object({
      upstream: v.optional(v.string()),
      address: v.string(),
      path: v.string(),
      status: v.optional(v.number()),
      failure: v.optional(v.string()),
    }),
  ),
  health: Health,
})

export const check: CommandDefinition = {
  name: 'check',
  summary: 'Check the upstream of a route now',
  expectsName: true,
  options: [],
  details: () => `Example:
  proxy-manager check app

Exit status: 0 if the upstream is healthy, 1 if it is not. Nothing
is changed.`,
  run: async ({ name }, context) => {
    const { json, shown } = await callApi(context, { method: 'POST', path: `${proxyPath(name)}/check` }, Checked)
    const { upstream, ok, latency_ms: latencyMs, failure, attempts, health } = shown
    return {
      json,
      text: fields({
        name,
        upstream,
        attempts: attempts.map(({ upstream: own, address, ...attempt }) => {
          const place = [own, address, attempt.path].filter((part) => part !== undefined).join(' ')
          return `${place}: ${attempt.status ?? attempt.failure}`
        }),
        result: ok ? `healthy after ${latencyMs} ms` : `failed after ${latencyMs} ms: ${failure}`,
        health: describeChecked(health),
      }),
      exitStatus: ok ? EXIT.ok : EXIT.refused,
    }
  },
}
