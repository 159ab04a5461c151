/** proxy-manager serve, proxy-manager recover: what runs on this host itself */
import { describeSettings } from '../../../settings/settings.ts'
import { type CommandDefinition, CommandFailure, EXIT } from '../../command.ts'
import { loadMain } from '../../node-flags.ts'

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

export const recover: CommandDefinition = {
  name: 'recover',
  summary: 'Finish or undo a change that a crash interrupted; for ExecStartPre of NGINX',
  options: [],
  details: () => `It uses the settings of "proxy-manager serve". If the API is running, it has
recovered already: this command then only waits for a change in progress.

Exit status:
  0   nothing is left to recover
  1   something could not be recovered
  75  temporary failure: the state directory's disk is full or read-only, or
      the files of the routes are not mounted yet
  78  a wrong setting, or the state directory cannot be created, read or locked`,
  run: async (_invocation, { environment }) => {
    const recovery = await (await loadMain()).recoverOnce(environment)
    if ('fault' in recovery)
      throw new CommandFailure(recovery.isTransient ? EXIT.temporaryFailure : EXIT.wrongSetting, recovery.fault)
    const { undone, seenToBy } = recovery
    const by = seenToBy === undefined ? '' : ` (the API is running as ${seenToBy})`
    const text = undone.length === 0 ? `Nothing to recover${by}.` : `Could not recover${by}: ${undone.join(', ')}.`
    return { json: recovery, text, exitStatus: undone.length === 0 ? EXIT.ok : EXIT.refused }
  },
}
