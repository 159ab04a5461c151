/** Secrets that come from files. */

/** What a file holds, or why it cannot be read. */
export type ReadFile = (path: string) => { readonly text: string } | { readonly failure: string }

/**
 * The text of the file that `<name>_FILE` names, which is how systemd credentials and container secrets hand a token over; `undefined` where
 * none is named. A file that cannot be read, or is empty, never means that there is no token.
 */
export function readTokenFile(
  environment: Readonly<Record<string, string | undefined>>,
  name: string,
  read: ReadFile,
): { readonly token: string } | { readonly fault: string } | undefined {
  const path = environment[`${name}_FILE`] || undefined
  if (path === undefined) return undefined
  const file = read(path)
  if ('failure' in file) return { fault: `${name}_FILE: ${path} cannot be read (${file.failure})` }
  const token = file.text.trim()
  return token === '' ? { fault: `${name}_FILE: ${path} is empty` } : { token }
}
