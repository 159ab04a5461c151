/** The command line as a function: words in, exit status out. */
import packageJson from '../../../package.json' with { type: 'json' }
import { type Command, CommandFailure, EXIT, helpOf, parseWords, type World } from '../command.ts'
import { printable } from '../text.ts'
import { remove } from './delete.ts'
import { get } from './get.ts'
import { health } from './health.ts'
import { list } from './list.ts'
import { plan } from './plan.ts'
import { put } from './put.ts'
import { recover } from './recover.ts'
import { serve } from './serve.ts'
import { ssl } from './ssl.ts'
import { sync } from './sync.ts'
import { systemdUnitCommand } from './systemd-unit.ts'

const COMMANDS: readonly Command[] = [
  serve,
  recover,
  systemdUnitCommand,
  list,
  get,
  put,
  remove,
  ssl,
  sync,
  plan,
  health,
]

/** Runs one command; resolves to the exit status, or to nothing where the command goes on, or sets it by itself. */
export async function run(words: readonly string[], world: World): Promise<number | undefined> {
  const [first, ...rest] = words
  if (first === '--version') {
    world.out(`${packageJson.version}\n`)
    return EXIT.ok
  }
  if (first === '--help' || first === '-h') {
    world.out(overview())
    return EXIT.ok
  }
  const command = COMMANDS.find(({ name }) => name === first)
  if (command === undefined) {
    const fault = first === undefined ? 'a command is missing' : `there is no command '${first}'`
    return fail(world, new CommandFailure(EXIT.usage, `${fault}\nSee proxy-manager --help`), false)
  }
  let isJson = rest.includes('--json')
  try {
    const { invocation, json, help } = parseWords(command, rest)
    isJson = json
    if (help) {
      world.out(helpOf(command))
      return EXIT.ok
    }
    const outcome = await command.run(invocation, world)
    if (outcome === undefined) return undefined
    world.out(json ? `${JSON.stringify(outcome.json, null, 2)}\n` : `${printable(outcome.text)}\n`)
    return outcome.exitStatus ?? EXIT.ok
  } catch (error) {
    if (error instanceof CommandFailure) return fail(world, error, isJson)
    throw error
  }
}

/** Words go to standard error; what the API said goes to standard output as well, where a program reads along. */
function fail(world: World, { exitStatus, message, json }: CommandFailure, isJson: boolean): number {
  world.err(`proxy-manager: ${printable(message)}\n`)
  if (isJson && json !== undefined) world.out(`${JSON.stringify(json, null, 2)}\n`)
  return exitStatus
}

function overview(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length))
  const lines = COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`)
  return `proxy-manager COMMAND [options]

An HTTP API that manages NGINX and certbot on this host, and a command line for it.

Commands:
${lines.join('\n')}

proxy-manager COMMAND --help tells more of each; proxy-manager serve --help has every setting. --version prints the version.

serve, recover and systemd-unit work on this host. All others call the running API:
  PROXY_MANAGER_URL        where it is (http://127.0.0.1:8100, with the port in PROXY_MANAGER_PORT where that is set)
  PROXY_MANAGER_API_TOKEN  the token to call it with, where it wants one (or ..._FILE: a file that has it)

Exit statuses:
  0   done
  1   refused by the API; plan, dry runs: by NGINX; health: unhealthy; recover: something is left undone
  2   wrong use of a command
  3   the API cannot be reached
  4   health: degraded
  75  what may pass: serve, recover: the state folder's disk is full or read-only; serve: another process uses that folder, or
      PROXY_MANAGER_HOST is no address of this host yet
  78  serve, recover, systemd-unit: a wrong setting; serve, recover: a state folder that cannot be had; serve: a port that is taken
`
}
