/** proxy-manager serve */
import { describeSettings } from '../../settings/settings.ts'
import type { CommandDefinition } from '../command.ts'
import { loadMain } from '../node-flags.ts'

export const serve: CommandDefinition = {
  name: 'serve',
  summary: 'Run the API in the foreground; SIGTERM, SIGINT or SIGQUIT stops it after the calls in flight',
  options: [],
  isService: true,
  details: () => {
    const settings = describeSettings().map(
      ({ name, defaultText, help }) => `  ${name}${defaultText === '' ? '' : ` (${defaultText})`}\n      ${help}`,
    )
    return `Exit status if it cannot start:
  75  temporary failure: the state directory, sites-available or sites-enabled
      is in use, or the state directory's disk is full or read-only, or
      PROXY_MANAGER_HOST is not an address of this host yet, or the files of the
      routes are not mounted yet
  78  a wrong setting, or the port is in use, or the state directory cannot be
      created, read or locked, or is somebody else's

Settings (environment variables):
${settings.join('\n')}`
  },
  run: async (_invocation, { environment }) => {
    await (await loadMain()).serve(environment)
    return undefined
  },
}
