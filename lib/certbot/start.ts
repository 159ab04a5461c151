/** How certbot is started: the same way for every order, registration and deletion. */
import type { RunOptions, RunResult } from '../adapters/runner.ts'
import type { Host } from '../host/host.ts'

export type CertbotHost = Pick<Host, 'settings' | 'paths' | 'files' | 'runner' | 'clock'>

export interface CertbotOptions extends Pick<RunOptions, 'timeoutMs' | 'graceMs'> {
  /**
   * Options whose values no other process may see: they are passed in a file of mode 0600, which exists only while certbot runs. Empty ones,
   * which override those of the system's cli.ini, are arguments: certbot's parser on Debian 11 (configargparse 1.2) reads a line `name =` as the
   * value `=`.
   */
  readonly secrets?: Readonly<Record<string, string>> | undefined
}

/**
 * Runs certbot. Of the two files that it reads besides its arguments, the user's (`$XDG_CONFIG_HOME/letsencrypt/cli.ini`) is replaced by a
 * directory of ours that has none; the system's is always read, whatever `--config` says: see `cli-ini.ts`.
 * @throws {Error} Node's error if the file with the secrets cannot be written
 */
export async function startCertbot(
  { settings, paths, files, runner, clock }: CertbotHost,
  args: readonly string[],
  { secrets = {}, ...limits }: CertbotOptions,
): Promise<RunResult> {
  const options = { ...limits, variables: { XDG_CONFIG_HOME: paths.noConfiguration } }
  const given = Object.entries(secrets)
  const empty = given.flatMap(([name, value]) => (value === '' ? [`--${name}=`] : []))
  const lines = given.flatMap(([name, value]) => (value === '' ? [] : [`${name} = ${value}\n`]))
  const run = (further: readonly string[]) => runner.run(settings.CERTBOT_BIN, [...args, ...empty, ...further], options)
  if (lines.length === 0) return await run([])
  const file = `${paths.certbot}/${clock.randomId()}.ini`
  try {
    await files.write(file, lines.join(''), 0o600)
    return await run([`--config=${file}`])
  } finally {
    await files.remove(file).catch(() => undefined)
  }
}

/** Removes what a process that was killed has left: files with secrets, and directories in which accounts were made. */
export async function sweepCertbot({ paths, files }: Pick<CertbotHost, 'paths' | 'files'>): Promise<void> {
  const left = files.list(paths.certbot).map((name) => `${paths.certbot}/${name}`)
  for (const path of left) if (path !== paths.noConfiguration) await files.removeFolder(path)
}
