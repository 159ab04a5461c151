/** proxy-manager recover */
import { type Command, CommandFailure, EXIT } from '../command.ts'
import { loadMain } from '../node-flags.ts'

export const recover: Command = {
  name: 'recover',
  summary: 'Finish or undo what a crash interrupted, once; for ExecStartPre of NGINX',
  options: [],
  more: () => `Takes the settings of "proxy-manager serve". Ends with 0 where nothing is left undone, with 1 otherwise,
with 75 where the state folder's disk is full or read-only, with 78 for a wrong setting or a state folder that cannot be had.
Where the API runs, that has recovered already: then it waits for a change that is under way, and does nothing itself.
`,
  run: async (_invocation, { environment }) => {
    const recovery = await (await loadMain()).recoverOnce(environment)
    if ('fault' in recovery)
      throw new CommandFailure(recovery.isTransient ? EXIT.mayPass : EXIT.wrongSetting, recovery.fault)
    const { undone, seenToBy } = recovery
    const by = seenToBy === undefined ? '' : ` (the API runs as ${seenToBy})`
    const text = undone.length === 0 ? `Nothing is left undone${by}.` : `Left undone${by}: ${undone.join(', ')}.`
    return { json: recovery, text, exitStatus: undone.length === 0 ? EXIT.ok : EXIT.refused }
  },
}
