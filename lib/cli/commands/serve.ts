/** The commands that work on this host without the API: serve, recover, systemd-unit. */
import { describeSettings } from '../../settings/settings.ts'
import type { Command } from '../command.ts'
import { loadMain } from '../node-flags.ts'

export const serve: Command = {
  name: 'serve',
  summary: 'Run the API in the foreground; SIGTERM or SIGINT ends it, after the calls in flight',
  options: [],
  isService: true,
  more: () => {
    const settings = describeSettings().map(
      ({ name, fallback, help }) => `  ${name}${fallback === '' ? '' : ` (${fallback})`}\n      ${help}`,
    )
    return `Ends with 78 for a wrong setting, a port that is taken, or a state folder that cannot be had; with 75 for what may pass: where the
state folder is in use, or on a disk that is full or read-only, or PROXY_MANAGER_HOST is no address of this host yet.\n\nSettings (environment variables):\n${settings.join('\n')}\n`
  },
  run: async (_invocation, { environment }) => {
    await (await loadMain()).serve(environment)
    return undefined
  },
}
