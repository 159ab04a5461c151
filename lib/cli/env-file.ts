/** Environment files, as a unit's `EnvironmentFile=` names them (systemd.exec(5)). */

/** The environment file of an installation. */
export const ENV_FILE = '/etc/proxy-manager.env'

const LINE = /^\s*([A-Za-z_]\w*)=(.*?)\s*$/

/**
 * The variables of an environment file. Lines that systemd, a shell and Docker read differently are faults: quotes, backslashes, and all that
 * is not `NAME=value`. A fault names the line and does not repeat it, since it may contain a token.
 */
export function parseEnvFile(
  text: string,
): { readonly variables: Readonly<Record<string, string>> } | { readonly fault: string } {
  const variables: Record<string, string> = {}
  for (const [i, line] of text.split('\n').entries()) {
    if (/^\s*([#;]|$)/.test(line)) continue
    const [, name = '', value = ''] = LINE.exec(line) ?? []
    if (name === '' || /["'\\]/.test(value)) return { fault: `line ${i + 1}: expected NAME=value without quotes` }
    variables[name] = value
  }
  return { variables }
}
