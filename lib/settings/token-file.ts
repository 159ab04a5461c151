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

/** A token with a name, and what it permits. */
export interface NamedToken {
  readonly name: string
  readonly grant: 'all' | 'read'
  readonly token: string
}

const LINE = /^([A-Za-z0-9][A-Za-z0-9._-]{0,62}):(all|read):([\x21-\x7e]{16,512})$/

/**
 * Parses `name:grant:token` lines; empty ones, and those that begin with `#`, are skipped.
 * @returns the tokens, or a sentence with the number of the first wrong line and without what is in it
 */
export function parseNamedTokens(text: string): readonly NamedToken[] | { readonly fault: string } {
  const tokens: NamedToken[] = []
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*(#|$)/.test(line)) continue
    const [, name = '', grant, token = ''] = LINE.exec(line.trim()) ?? []
    const isKnown = tokens.some((other) => other.name === name || other.token === token)
    if (grant === undefined || isKnown)
      return {
        fault: `line ${i + 1}: expected ${grant === undefined ? 'name:grant:token, with the grant all or read and a token of 16 to 512 printable characters without spaces' : 'another name and another token than those of the lines before'}`,
      }
    tokens.push({ name, grant: grant === 'read' ? 'read' : 'all', token })
  }
  return tokens.length === 0 ? { fault: 'has no token' } : tokens
}
