/** The tokens of this host: those of the settings, and those of a file that is read again whenever it changes. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { errorText } from '../errors.ts'
import type { EventLog } from '../events/log.ts'
import type { Host } from '../host/host.ts'
import { logOnChange } from '../host/log-on-change.ts'
import { type NamedToken, parseNamedTokens } from '../settings/token-file.ts'
import type { Grant } from './token-claims.ts'

export interface KnownToken {
  readonly name: string
  readonly grant: Grant
}

export interface NamedTokens {
  /** Whose token it is; the time that this takes says nothing about any of them. */
  find(presented: string): KnownToken | undefined
  /** Why the file cannot be used any more, and what to do: the tokens that it had before are still accepted. */
  fault(): string | undefined
}

interface Digested extends KnownToken {
  readonly digest: Buffer
}

type TokensHost = Pick<Host, 'settings' | 'files' | 'log'>

/** Makes the tokens. A change of the file is an event, with the names of the tokens. */
export function namedTokens(host: TokensHost, events: Pick<EventLog, 'add'>): NamedTokens {
  const { PROXY_MANAGER_API_TOKEN, PROXY_MANAGER_READ_TOKEN, PROXY_MANAGER_API_TOKENS_FILE: path } = host.settings
  const own = [
    ...digested('api', 'all', PROXY_MANAGER_API_TOKEN),
    ...digested('read', 'read', PROXY_MANAGER_READ_TOKEN),
  ]
  let fromFile: readonly Digested[] = []
  let seen: string | undefined
  let fault: string | undefined
  const logRead = logOnChange(host, 'read_tokens', 'not read')

  const refresh = (): void => {
    if (path === undefined) return
    const stamp = stampOf(host, path)
    if (stamp === seen) return
    const read = readTokens(host, path)
    fault = 'fault' in read ? read.fault : undefined
    // What could not be read may be readable the next time, without another stamp.
    seen = 'isUnread' in read ? undefined : stamp
    logRead(fault)
    if ('fault' in read) return
    const next = read.flatMap(({ name, grant, token }) => digested(name, grant, token))
    const details = fromFile.length === 0 ? undefined : difference(fromFile, next)
    fromFile = next
    if (details !== undefined)
      void events.add({ type: 'tokens.changed', origin: { actor: { kind: 'local' } }, details })
  }
  return {
    find: (presented) => {
      refresh()
      const digest = digestOf(presented)
      const found = [...own, ...fromFile].filter((token) => timingSafeEqual(token.digest, digest))
      return found.find(({ grant }) => grant === 'all') ?? found[0]
    },
    fault: () => {
      refresh()
      if (fault === undefined) return undefined
      return `PROXY_MANAGER_API_TOKENS_FILE ${fault}: correct the file; the tokens that it had before are still accepted`
    },
  }
}

function stampOf({ files }: TokensHost, path: string): string {
  try {
    return files.stamp(path) ?? 'missing'
  } catch (error) {
    return errorText(error)
  }
}

function readTokens(
  { files }: TokensHost,
  path: string,
): readonly NamedToken[] | { readonly fault: string; readonly isUnread?: true } {
  try {
    const text = files.read(path)?.text
    return text === undefined ? { fault: 'is missing' } : parseNamedTokens(text)
  } catch (error) {
    return { fault: `cannot be read (${errorText(error)})`, isUnread: true }
  }
}

function digested(name: string, grant: Grant, token: string | undefined): readonly Digested[] {
  return token === undefined ? [] : [{ name, grant, digest: digestOf(token) }]
}

/** Of the same length for all tokens. */
function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

/** The names of the tokens that differ; `undefined` if none does. */
function difference(before: readonly Digested[], after: readonly Digested[]) {
  const isIn = (tokens: readonly Digested[], { name, grant, digest }: Digested) =>
    tokens.some((other) => other.name === name && other.grant === grant && other.digest.equals(digest))
  const names = (tokens: readonly Digested[]) => tokens.map(({ name }) => name)
  const removed = names(before.filter((token) => !isIn(after, token)))
  const added = names(after.filter((token) => !isIn(before, token)))
  return removed.length + added.length === 0 ? undefined : { removed, added }
}
