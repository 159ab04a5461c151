/** The command line as a function: arguments in, exit status out. */

import { Command, CommanderError, InvalidArgumentError } from 'commander'
import packageJson from '../../package.json' with { type: 'json' }
import { type CliContext, type CommandDefinition, CommandFailure, EXIT } from './command.ts'
import { apply, exportRoutes } from './commands/apply.ts'
import { certificates, deleteCertificate, uploadCertificate } from './commands/certificates.ts'
import { remove } from './commands/delete.ts'
import { check, get } from './commands/get.ts'
import { events, history, rollback } from './commands/history.ts'
import { explain } from './commands/host/explain.ts'
import { health } from './commands/host/health.ts'
import { reconcile } from './commands/host/reconcile.ts'
import { recover, serve } from './commands/host/serve.ts'
import { adopt, sites } from './commands/host/sites.ts'
import { systemdUnitCommand } from './commands/host/systemd-unit.ts'
import { list } from './commands/list.ts'
import { plan, put } from './commands/put.ts'
import { rename } from './commands/rename.ts'
import { ssl } from './commands/ssl.ts'
import { sync } from './commands/sync.ts'
import { ENV_FILE } from './env-file.ts'
import { plainJson, printable } from './text.ts'

const COMMANDS: readonly CommandDefinition[] = [
  serve,
  recover,
  systemdUnitCommand,
  list,
  get,
  put,
  plan,
  remove,
  rename,
  check,
  history,
  rollback,
  ssl,
  certificates,
  uploadCertificate,
  deleteCertificate,
  sync,
  exportRoutes,
  apply,
  reconcile,
  sites,
  adopt,
  events,
  explain,
  health,
]

const AFTER_HELP = `
"proxy-manager COMMAND --help" describes a command,
"proxy-manager serve --help" lists every setting.

serve, recover and systemd-unit work on this host. All other commands call the
running API:
  PROXY_MANAGER_URL        its address; by default PROXY_MANAGER_HOST (127.0.0.1)
                           and PROXY_MANAGER_PORT (8100)
  PROXY_MANAGER_API_TOKEN  its token, if it requires one; or in a file that
                           PROXY_MANAGER_API_TOKEN_FILE names
Without PROXY_MANAGER_URL, the others are also read from
${ENV_FILE}.

Exit status:
  0   success
  1   refused by the API; plan, --dry-run: rejected by NGINX; health, check:
      unhealthy; explain: NGINX does not do what its configuration says;
      recover: something could not be recovered
  2   wrong usage
  3   the API cannot be reached
  4   health: degraded
  75  temporary failure (EX_TEMPFAIL), retry later; serve, recover: the state
      directory's disk is full or read-only, the files of the routes are not
      mounted yet, or another process with its own state directory uses the
      sites directories; serve: another process uses the state directory, or
      PROXY_MANAGER_HOST is not an address of this host yet
  78  configuration error (EX_CONFIG); serve, recover, systemd-unit: a wrong
      setting; serve, recover: the state directory cannot be created, read or
      locked, or is somebody else's; serve: the port is in use`

/** Runs one command. @returns its exit status, or `undefined` if the command continues to run or sets the status itself */
export async function run(argv: readonly string[], context: CliContext): Promise<number | undefined> {
  let status: number | undefined
  const program = createProgram(context)
  for (const definition of COMMANDS) {
    const command = addCommand(program, definition)
    command.action(async () => {
      status = await execute(definition, command, context)
    })
  }
  try {
    await program.parseAsync(argv, { from: 'user' })
    return status
  } catch (error) {
    // commander has already printed the help, the version or the error.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    throw error
  }
}

/** The settings here are inherited by the commands that are added later. */
function createProgram({ out, err, columns }: CliContext): Command {
  return new Command('proxy-manager')
    .description('HTTP API that manages NGINX and certbot on this host, and its command line')
    .version(packageJson.version, '-V, --version', 'Print the version')
    .helpOption('-h, --help', 'Print help')
    .helpCommand('help [command]', 'Print the help of a command')
    .addHelpText('after', AFTER_HELP)
    .showHelpAfterError('See proxy-manager --help')
    .exitOverride()
    .configureOutput({
      writeOut: out,
      writeErr: err,
      outputError: (text, write) => write(printable(text.replace(/^error:/, 'proxy-manager:'))),
      getOutHelpWidth: () => columns,
      getErrHelpWidth: () => columns,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
}

function addCommand(program: Command, definition: CommandDefinition): Command {
  const { name, summary, expectsName, expectsNewName, expectsFile, expectsUrl, options, isService, details } =
    definition
  const command = program.command(name).description(summary).showHelpAfterError(`See proxy-manager ${name} --help`)
  const argument = typeof expectsName === 'string' ? expectsName : 'Droplet name of the route'
  if (expectsName) command.argument('<name>', argument, parseName)
  if (expectsFile !== undefined) command.argument('<file>', expectsFile)
  if (expectsUrl) command.argument('<url>', 'An absolute URL')
  if (expectsNewName) command.argument('<new-name>', 'Its new droplet name', parseName)
  for (const option of options) command.addOption(option)
  if (!isService) command.option('--json', 'Print JSON instead of text')
  if (details !== undefined) command.addHelpText('after', () => `\n${details()}`)
  return command
}

/** The API judges a name; but these would change the path of the call. */
function parseName(text: string): string {
  if (['', '.', '..'].includes(text)) throw new InvalidArgumentError('Expected a name.')
  return text
}

async function execute(
  definition: CommandDefinition,
  command: Command,
  context: CliContext,
): Promise<number | undefined> {
  const { json: isJson, ...options } = command.opts<Readonly<Record<string, unknown>>>()
  const [name = '', newName = ''] = command.args
  const print = (json: unknown) => context.out(`${plainJson(json)}\n`)
  try {
    const outcome = await definition.run(
      { name, newName, file: name, url: name, options, isJson: isJson === true },
      context,
    )
    if (outcome === undefined) return undefined
    if (isJson) print(outcome.json)
    else context.out(`${printable(outcome.text)}\n`)
    return outcome.exitStatus ?? EXIT.ok
  } catch (error) {
    if (error instanceof InvalidArgumentError) command.error(`error: ${error.message}`)
    if (!(error instanceof CommandFailure)) throw error
    context.err(`proxy-manager: ${printable(error.message)}\n`)
    if (isJson && error.json !== undefined) print(error.json)
    return error.exitStatus
  }
}
