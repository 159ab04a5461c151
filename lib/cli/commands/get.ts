/** proxy-manager get */
import { callApi, proxyPath } from '../api-client.ts'
import type { Command } from '../command.ts'
import { describeRoute, Route } from '../describe.ts'

export const get: Command = {
  name: 'get',
  summary: 'Show one route, its last health check and its certificate',
  takesName: true,
  options: [],
  more: () => 'Example:\n  proxy-manager get app\n',
  run: async ({ name }, world) => {
    const { json, shown } = await callApi(world, { method: 'GET', path: proxyPath(name) }, Route)
    return { json, text: describeRoute(shown) }
  },
}
