/** The commands that work on this host without the API: serve, recover, systemd-unit. */
import { describeSettings, parseSettings } from '../core/settings.ts'
import { type Command, CommandFailure, EXIT, misuse, type World } from './command.ts'
import { ENV_FILE, parseEnvFile } from './env-file.ts'
import { nginxDropIn, systemdUnit } from './systemd-unit.ts'

// Loaded only where they are needed: the whole API is more than a call to it takes.
const loadMain = () => import('../main.ts')

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
      throw new CommandFailure(recovery.mayPass ? EXIT.mayPass : EXIT.wrongSetting, recovery.fault)
    const { undone, seenToBy } = recovery
    const by = seenToBy === undefined ? '' : ` (the API runs as ${seenToBy})`
    const text = undone.length === 0 ? `Nothing is left undone${by}.` : `Left undone${by}: ${undone.join(', ')}.`
    return { json: recovery, text, exitStatus: undone.length === 0 ? EXIT.ok : EXIT.refused }
  },
}

export const systemdUnitCommand: Command = {
  name: 'systemd-unit',
  summary: 'Print a hardened systemd unit for "proxy-manager serve" with the present settings',
  options: [
    { name: 'nginx', help: "Print the drop-in for NGINX's unit instead: recovery before NGINX starts" },
    // Not --env-file, which Node takes for itself wherever it stands.
    { name: 'environment-file', value: 'FILE', help: `The file with the settings (${ENV_FILE})` },
  ],
  more: () => `As root:
  proxy-manager systemd-unit > /etc/systemd/system/proxy-manager.service
  mkdir -p /etc/systemd/system/nginx.service.d
  proxy-manager systemd-unit --nginx > /etc/systemd/system/nginx.service.d/proxy-manager.conf
  systemctl daemon-reload && systemctl enable --now proxy-manager

Both units read the settings in ${ENV_FILE} at each start; one NAME=value a line, without quotes. This command reads
them too, for the folders that the service may write to: print both anew when a folder among the settings changes.
Settings in this command's own environment are written into the units, and give way to those in the file.

Tokens in the environment are not printed: set PROXY_MANAGER_API_TOKEN_FILE (or ..._READ_TOKEN_FILE,
REGISTRY_TOKEN_FILE) there, and the unit hands that file over as a credential.
`,
  run: async ({ text, flag }, world) => {
    const { program } = world
    const envFile = text('environment-file') ?? ENV_FILE
    const filed = readEnvFile(envFile, text('environment-file') !== undefined, world)
    const environment = { ...world.environment, ...filed }
    const settings = parseSettings(environment, world.read)
    if ('faults' in settings) throw new CommandFailure(EXIT.wrongSetting, settings.faults.join('; '))
    const { findNginxConfiguration } = await loadMain()
    const nginxConf = (await findNginxConfiguration(settings, environment)) ?? '/etc/nginx/nginx.conf'
    const given = (suffix: string) =>
      describeSettings().flatMap(({ name }): [name: string, value: string][] => {
        const value = world.environment[`${name}${suffix}`] || undefined
        const isFiled = filed[name] !== undefined || filed[`${name}_FILE`] !== undefined
        return value === undefined || isFiled || name.endsWith('_TOKEN') !== (suffix === '_FILE') ? [] : [[name, value]]
      })
    const options = { settings, envFile, given: given(''), tokenFiles: given('_FILE'), program, nginxConf }
    const [name, unit] =
      flag('nginx') === true
        ? ['nginx.service.d/proxy-manager.conf', nginxDropIn(options)]
        : ['proxy-manager.service', systemdUnit(options)]
    return { json: { name, text: unit }, text: unit.trimEnd() }
  },
}

function readEnvFile(path: string, isRequired: boolean, { read }: World): Readonly<Record<string, string>> {
  if (!/^\/[^\x00-\x1f]*$/.test(path)) throw misuse(systemdUnitCommand, '--environment-file takes an absolute path')
  const file = read(path)
  if ('failure' in file && (isRequired || file.failure !== 'ENOENT'))
    throw new CommandFailure(EXIT.wrongSetting, `${path} cannot be read (${file.failure})`)
  const parsed = parseEnvFile('text' in file ? file.text : '')
  if ('fault' in parsed) throw new CommandFailure(EXIT.wrongSetting, `${path}, ${parsed.fault}`)
  return parsed.variables
}
