/** Parses the environment into settings. */

import * as v from 'valibot'
import { crossFieldFaults, keyFileFault, tokensFileFault } from './rules.ts'
import { type Settings, VARIABLES } from './settings.ts'
import { type ReadFile, readTokenFile } from './token-file.ts'

export { resolverAddress } from '../net/dns-server.ts'
export { describeSettings, EMAIL, type Settings } from './settings.ts'
export { type ReadFile, readTokenFile } from './token-file.ts'

type Environment = Readonly<Record<string, string | undefined>>
interface Faults {
  readonly faults: readonly string[]
}

/**
 * Parses the environment of the service. If `read` is given, tokens may come from files.
 * @returns the settings, or one sentence per fault: the variable, what it expects and what it got
 */
export function parseSettings(environment: Environment, read?: ReadFile): Settings | Faults {
  const settings = parseVariables(VARIABLES, environment, read)
  if ('faults' in settings) return settings
  const files = read === undefined ? [] : [...keyFileFault(settings, read), ...tokensFileFault(settings, read)]
  const faults = [...crossFieldFaults(settings), ...files]
  return faults.length === 0 ? settings : { faults }
}

/** Parses these variables of an environment. An empty variable counts as not set. The value of a token is in no fault. */
export function parseVariables<const T extends v.ObjectEntries>(
  variables: T,
  environment: Environment,
  read?: ReadFile,
): v.InferOutput<v.ObjectSchema<T, undefined>> | Faults {
  const faults: string[] = []
  const texts = Object.keys(variables).map((name): [name: string, text: string | undefined] => {
    const file = read !== undefined && isToken(name) ? readTokenFile(environment, name, read) : undefined
    if (file === undefined) return [name, environment[name] || undefined]
    if ('fault' in file) faults.push(file.fault)
    return [name, 'token' in file ? file.token : undefined]
  })
  const parsed = v.safeParse(v.object(variables), Object.fromEntries(texts), { abortPipeEarly: true })
  for (const { path, message } of parsed.issues ?? [])
    for (const { key, value } of path ?? [])
      faults.push(`${key}: ${message}${isToken(String(key)) ? '' : `, got ${JSON.stringify(value)}`}`)
  return parsed.success && faults.length === 0 ? parsed.output : { faults }
}

function isToken(name: string): boolean {
  return name.endsWith('_TOKEN')
}
