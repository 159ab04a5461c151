/** What a site has that a route of ours would do otherwise, or cannot do. */
import type { Located } from './site-files.ts'

/** One directive of a site, and what becomes of it. */
export interface Finding {
  /** The site's file, or one that it includes. */
  readonly file: string
  readonly line: number
  readonly directive: string
  readonly text: string
}

export interface Findings {
  /** A route of ours serves it, but not in the same way. */
  differs(directive: Located, text: string): void
  /** A route of ours cannot serve it. */
  refuse(directive: Located, text: string): void
  readonly differences: readonly Finding[]
  readonly refusals: readonly Finding[]
}

const MAX_SHOWN = 120

/** Makes an empty list. The same sentence about the same name is noted only once. */
export function findings(): Findings {
  const [differences, refusals] = [new Map<string, Finding>(), new Map<string, Finding>()]
  const note = (list: Map<string, Finding>, at: Located, text: string) => {
    const key = `${at.name} ${text}`
    if (!list.has(key)) list.set(key, { file: at.file, line: at.line, directive: shown(at), text })
  }
  return {
    differs: (directive, text) => note(differences, directive, text),
    refuse: (directive, text) => note(refusals, directive, text),
    get differences() {
      return [...differences.values()]
    },
    get refusals() {
      return [...refusals.values()]
    },
  }
}

function shown({ name, args }: Located): string {
  const text = [name, ...args].join(' ')
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
}
