/** Tokens that come from files. */

/** The text of a file and whether every user can read it, or the code of the error with which it cannot be read. */
export type ReadFile = (
  path: string,
) => { readonly text: string; readonly isPublic?: boolean } | { readonly failure: string }

/**
 * The token in the file that `<name>_FILE` names, as systemd credentials and container secrets provide it; `undefined` if that variable is not
 * set. A file that is empty or cannot be read is a fault: it must not mean that there is no token.
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
