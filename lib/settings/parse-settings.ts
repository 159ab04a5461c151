/** An environment becomes settings, or the list of what is wrong with it. */

import * as v from 'valibot'
import { faultsBetween } from './rules.ts'
import { type Settings, VARIABLES } from './settings.ts'
import { type ReadFile, readTokenFile } from './token-file.ts'
import type { Variable } from './variable-types.ts'

export { resolverAddress } from '../net/dns-server.ts'
export { describeSettings, EMAIL, type Settings } from './settings.ts'
export { type ReadFile, readTokenFile } from './token-file.ts'

/**
 * Parses an environment. Faults are sentences that name the variable, what it got and what it takes; a token's value is never repeated.
 * An empty variable counts as not set. Where `read` is given, tokens may come from files.
 */
export function parseSettings(
  environment: Readonly<Record<string, string | undefined>>,
  read?: ReadFile,
): Settings | { readonly faults: readonly string[] } {
  const faults: string[] = []
  const entries = Object.entries(VARIABLES).map(([name, variable]: [string, Variable<unknown>]) => {
    const file = read !== undefined && name.endsWith('_TOKEN') ? readTokenFile(environment, name, read) : undefined
    if (file !== undefined && 'fault' in file) {
      faults.push(file.fault)
      return [name, variable.unset]
    }
    const value = file?.token ?? environment[name]
    if (value === undefined || value === '') return [name, variable.unset]
    const parsed = variable.parse(value)
    if (parsed === undefined) {
      const got = name.endsWith('_TOKEN') ? 'a value that does not fit' : JSON.stringify(value)
      faults.push(`${name}: got ${got}, takes ${variable.takes}`)
    }
    return [name, parsed]
  })
  if (faults.length > 0) return { faults }
  const settings = v.parse(
    v.custom<Settings>(() => true),
    Object.fromEntries(entries),
  )
  const unfit = faultsBetween(settings)
  return unfit.length === 0 ? settings : { faults: unfit }
}
