/** proxy-manager systemd-unit */

import { InvalidArgumentError, Option } from 'commander'
import { parseSettings } from '../../../settings/parse-settings.ts'
import { describeSettings } from '../../../settings/settings.ts'
import { type CliContext, type CommandDefinition, CommandFailure, EXIT } from '../../command.ts'
import { ENV_FILE, parseEnvFile } from '../../env-file.ts'
import { loadMain } from '../../node-flags.ts'
import { isInHome, nginxDropIn, systemdUnit } from './systemd-units.ts'

export const systemdUnitCommand: CommandDefinition = {
  name: 'systemd-unit',
  summary: 'Print a hardened systemd unit for "proxy-manager serve" with the current settings',
  options: [
    new Option('--nginx', "Print the drop-in for NGINX's unit instead: recovery before NGINX starts"),
    // Not --env-file: Node itself reads that one, wherever it is on the command line.
    new Option('--environment-file <file>', `File with the settings (default: ${ENV_FILE})`).argParser(
      parseAbsolutePath,
    ),
  ],
  details: () => `As root:
  proxy-manager systemd-unit > /etc/systemd/system/proxy-manager.service
  mkdir -p /etc/systemd/system/nginx.service.d
  proxy-manager systemd-unit --nginx > /etc/systemd/system/nginx.service.d/proxy-manager.conf
  systemctl daemon-reload && systemctl enable --now nginx proxy-manager

Both units read the settings in ${ENV_FILE} at each start:
one NAME=value per line, without quotes. This command reads them too, for the
directories that the service may write to: print both units again if one of
these settings changes. Settings in the environment of this command are written
into the units; those in the file take precedence.

Tokens in the environment are not printed. Set PROXY_MANAGER_API_TOKEN_FILE,
PROXY_MANAGER_READ_TOKEN_FILE or REGISTRY_TOKEN_FILE instead: the unit passes
that file to the service as a credential.`,
  run: async ({ options: { environmentFile, nginx } }, context) => {
    const { program } = context
    const envFile = typeof environmentFile === 'string' ? environmentFile : ENV_FILE
    const inFile = readEnvFile(envFile, environmentFile !== undefined, context)
    const environment = { ...context.environment, ...inFile }
    const settings = parseSettings(environment, context.read)
    if ('faults' in settings) throw new CommandFailure(EXIT.wrongSetting, settings.faults.join('; '))
    const { readUnitHost } = await loadMain()
    const { nginxConf = '/etc/nginx/nginx.conf', namesHome, isLinked } = await readUnitHost(settings, environment)
    const readsHome = namesHome || Object.values(inFile).some(isInHome)
    const given = (suffix: string) =>
      describeSettings().flatMap(({ name }): [name: string, value: string][] => {
        const value = context.environment[`${name}${suffix}`] || undefined
        const isInFile = inFile[name] !== undefined || inFile[`${name}_FILE`] !== undefined
        const isOther = name.endsWith('_TOKEN') !== (suffix === '_FILE')
        return value === undefined || isInFile || isOther ? [] : [[name, value]]
      })
    const unitOptions = {
      settings,
      envFile,
      given: given(''),
      tokenFiles: given('_FILE'),
      program,
      nginxConf,
      readsHome,
      isLinked,
    }
    const [name, unit] = nginx
      ? ['nginx.service.d/proxy-manager.conf', nginxDropIn(unitOptions)]
      : ['proxy-manager.service', systemdUnit(unitOptions)]
    return { json: { name, text: unit }, text: unit.trimEnd() }
  },
}

function parseAbsolutePath(text: string): string {
  if (!/^\/[^\x00-\x1f]*$/.test(text)) throw new InvalidArgumentError('Expected an absolute path.')
  return text
}

function readEnvFile(path: string, isRequired: boolean, { read }: CliContext): Readonly<Record<string, string>> {
  const file = read(path)
  if ('failure' in file && (isRequired || file.failure !== 'ENOENT'))
    throw new CommandFailure(EXIT.wrongSetting, `${path} cannot be read (${file.failure})`)
  const parsed = parseEnvFile('text' in file ? file.text : '')
  if ('fault' in parsed) throw new CommandFailure(EXIT.wrongSetting, `${path}, ${parsed.fault}`)
  return parsed.variables
}
