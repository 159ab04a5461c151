/** Settings as tests parse them. */
import { parseSettings, type ReadFile, type Settings } from '../../lib/settings/parse-settings.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** The settings of a valid environment. */
export function parseValid(environment: Environment, read?: ReadFile): Settings {
  const settings = parseSettings(environment, read)
  if ('faults' in settings) throw new Error(settings.faults.join('; '))
  return settings
}

/** The faults of an environment; none if it is valid. */
export function parseFaults(environment: Environment, read?: ReadFile): readonly string[] {
  const settings = parseSettings(environment, read)
  return 'faults' in settings ? settings.faults : []
}
