/** proxy-manager get */
import { callApi, proxyPath } from '../api-client.ts'
import type { CommandDefinition } from '../command.ts'
import { describeRoute, Route } from '../describe.ts'

export const get: CommandDefinition = {
  name: 'get',
  summary: 'Show one route with its last health check and its certificate',
  expectsName: true,
  options: [],
  details: () => 'Example:\n  proxy-manager get app',
  run: async ({ name }, context) => {
    const { json, shown } = await callApi(context, { method: 'GET', path: proxyPath(name) }, Route)
    return { json, text: describeRoute(shown) }
  },
}
