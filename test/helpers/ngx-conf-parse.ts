/** `ngx_conf_parse` and `ngx_conf_read_token` (src/core/ngx_conf_file.c), line by line: the reference for our parser. */

/** A directive's words and, for a block, what is in it. */
export type Tree = readonly [words: readonly string[], block: readonly Tree[] | null]

interface Level {
  readonly words: readonly string[]
  readonly block: Tree[]
}

/** The directives of a text; `undefined` if NGINX refuses it. */
export function ngxConfParse(text: string): Tree[] | undefined {
  const levels: Level[] = [{ words: [], block: [] }]
  let at = 0
  for (;;) {
    const read = ngxConfReadToken(text, at)
    const level = levels.at(-1)
    if (read === undefined || level === undefined) return undefined
    at = read.at
    if (read.what === 'file done') return levels.length === 1 ? level.block : undefined
    if (read.what === 'ok') level.block.push([read.words, null])
    if (read.what === 'block start') levels.push({ words: read.words, block: [] })
    if (read.what === 'block done') {
      levels.pop()
      const parent = levels.at(-1)
      if (parent === undefined) return undefined
      parent.block.push([level.words, level.block])
    }
  }
}

interface TokenRead {
  readonly what: 'ok' | 'block start' | 'block done' | 'file done'
  readonly words: readonly string[]
  readonly at: number
}

function ngxConfReadToken(text: string, from: number): TokenRead | undefined {
  const words: string[] = []
  let at = from
  let start = at
  let [needSpace, lastSpace, sharpComment, variable, quoted, sQuoted, dQuoted] = [false, true, ...no(5)]
  for (;;) {
    if (at >= text.length) return words.length > 0 || !lastSpace ? undefined : { what: 'file done', words, at }
    const ch = text.charAt(at++)
    if (ch === '\n') sharpComment = false
    if (sharpComment) continue
    if (quoted) {
      quoted = false
      continue
    }
    if (needSpace) {
      if (isSpace(ch)) {
        lastSpace = true
        needSpace = false
        continue
      }
      if (ch === ';') return { what: 'ok', words, at }
      if (ch === '{') return { what: 'block start', words, at }
      if (ch !== ')') return undefined
      lastSpace = true
      needSpace = false
    }
    if (lastSpace) {
      start = at - 1
      if (isSpace(ch)) continue
      if (ch === ';' || ch === '{') {
        if (words.length === 0) return undefined
        return { what: ch === '{' ? 'block start' : 'ok', words, at }
      }
      if (ch === '}') return words.length === 0 ? { what: 'block done', words, at } : undefined
      if (ch === '#') {
        sharpComment = true
        continue
      }
      lastSpace = false
      if (ch === '\\') quoted = true
      if (ch === '$') variable = true
      if (ch === '"' || ch === "'") {
        start++
        if (ch === '"') dQuoted = true
        else sQuoted = true
      }
      continue
    }
    if (ch === '{' && variable) continue
    variable = false
    if (ch === '\\') {
      quoted = true
      continue
    }
    if (ch === '$') {
      variable = true
      continue
    }
    let found = false
    if (dQuoted) {
      if (ch === '"') {
        dQuoted = false
        needSpace = true
        found = true
      }
    } else if (sQuoted) {
      if (ch === "'") {
        sQuoted = false
        needSpace = true
        found = true
      }
    } else if (isSpace(ch) || ch === ';' || ch === '{') {
      lastSpace = true
      found = true
    }
    if (!found) continue
    words.push(copied(text, start, at - 1))
    if (ch === ';') return { what: 'ok', words, at }
    if (ch === '{') return { what: 'block start', words, at }
  }
}

function copied(text: string, start: number, end: number): string {
  const resolved: Readonly<Record<string, string>> = { t: '\t', r: '\r', n: '\n' }
  let word = ''
  for (let src = start; src < end; ) {
    if (text.charAt(src) === '\\') {
      const next = text.charAt(src + 1)
      const control = resolved[next]
      if (control !== undefined) {
        word += control
        src += 2
        continue
      }
      if (next === '"' || next === "'" || next === '\\') src++
    }
    word += text.charAt(src++)
  }
  return word
}

function isSpace(ch: string): boolean {
  return ch === ' ' || ch === '\t' || ch === '\r' || ch === '\n'
}

function no(count: number): boolean[] {
  return new Array<boolean>(count).fill(false)
}
