/** proxy-manager systemd-unit */
import { parseSettings } from '../../settings/parse-settings.ts'
import { describeSettings } from '../../settings/settings.ts'
import { type Command, CommandFailure, EXIT, misuse, type World } from '../command.ts'
import { ENV_FILE, parseEnvFile } from '../env-file.ts'
import { loadMain } from '../node-flags.ts'
import { nginxDropIn, systemdUnit } from '../systemd-units.ts'

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
