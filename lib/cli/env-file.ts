/** The settings of a host in one file, which a unit's `EnvironmentFile=` names (systemd.exec(5)). */

/** Where the README has operators put it. */
export const ENV_FILE = '/etc/proxy-manager.env'

const LINE = /^\s*([A-Za-z_]\w*)=(.*?)\s*$/

/**
 * The variables of such a file. Refused are the lines that systemd, a shell and Docker read differently: quotes, backslashes, and what is no
 * `NAME=value`; a fault names the line, and never repeats it, since it may be a token's.
 */
export function parseEnvFile(
  text: string,
): { readonly variables: Readonly<Record<string, string>> } | { readonly fault: string } {
  const variables: Record<string, string> = {}
  for (const [i, line] of text.split('\n').entries()) {
    if (/^\s*([#;]|$)/.test(line)) continue
    const [, name = '', value = ''] = LINE.exec(line) ?? []
    if (name === '' || /["'\\]/.test(value)) return { fault: `line ${i + 1}: takes NAME=value, without quotes` }
    variables[name] = value
  }
  return { variables }
}
