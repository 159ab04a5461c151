/** Parses NGINX configuration as `ngx_conf_read_token` does (src/core/ngx_conf_file.c): words, quotes, escapes, comments, blocks. */

/** A directive: arguments unquoted and unescaped, variables as text, and its position (`end` is after its `;` or `}`; `line` starts at 1). */
export interface ReadDirective {
  readonly name: string
  readonly args: readonly string[]
  readonly block?: readonly ReadDirective[]
  readonly start: number
  readonly end: number
  readonly line: number
}

/** `complete` is false after a syntax error; the directives before it are kept. */
export interface ReadResult {
  readonly directives: readonly ReadDirective[]
  readonly complete: boolean
}

interface Token {
  readonly kind: 'word' | ';' | '{' | '}' | 'end' | 'broken'
  readonly text: string
  readonly start: number
  readonly end: number
}

/** Parses a whole file. Never throws: NGINX itself reports the errors in a host's files. */
export function readNginx(text: string): ReadResult {
  const lines = lineCounter(text)
  const root: ReadDirective[] = []
  const open: { head: Token[]; block: ReadDirective[] }[] = [{ head: [], block: root }]
  let head: Token[] = []
  let position = 0
  for (;;) {
    const token = nextToken(text, position)
    position = token.end
    const level = open.at(-1)
    if (level === undefined) return { directives: root, complete: false }
    if (token.kind === 'word') {
      head.push(token)
    } else if (token.kind === ';') {
      if (head.length === 0) return { directives: root, complete: false }
      level.block.push(directive(head, token.end, lines))
      head = []
    } else if (token.kind === '{') {
      const name = head[0]
      if (name === undefined) return { directives: root, complete: false }
      if (name.text.endsWith('_by_lua_block')) {
        const luaEnd = skipLua(text, position)
        if (luaEnd === undefined) return { directives: root, complete: false }
        position = luaEnd
        level.block.push(directive(head, position, lines))
      } else {
        open.push({ head, block: [] })
      }
      head = []
    } else if (token.kind === '}') {
      open.pop()
      const parent = open.at(-1)
      if (parent === undefined || head.length > 0) return { directives: root, complete: false }
      parent.block.push(directive(level.head, token.end, lines, level.block))
    } else {
      return { directives: root, complete: token.kind === 'end' && open.length === 1 && head.length === 0 }
    }
  }
}

function directive(
  head: readonly Token[],
  end: number,
  lineOf: (at: number) => number,
  block?: readonly ReadDirective[],
): ReadDirective {
  const [name, ...args] = head
  const start = name?.start ?? 0
  const found = { name: name?.text ?? '', args: args.map((word) => word.text), start, end, line: lineOf(start) }
  return block === undefined ? found : { ...found, block }
}

// The four characters that NGINX treats as white space; JavaScript's `\s` matches many more.
const SPACE = /[ \t\r\n]/
const ENDS_WORD = /[ \t\r\n;{]/

function nextToken(text: string, from: number): Token {
  let start = from
  for (;;) {
    while (start < text.length && SPACE.test(text.charAt(start))) start++
    if (text.charAt(start) !== '#') break
    const lineEnd = text.indexOf('\n', start)
    start = lineEnd === -1 ? text.length : lineEnd
  }
  const first = text.charAt(start)
  if (first === '') return { kind: 'end', text: '', start, end: start }
  if (first === ';' || first === '{' || first === '}') return { kind: first, text: first, start, end: start + 1 }
  return first === '"' || first === "'" ? quotedWord(text, start, first) : bareWord(text, start)
}

function quotedWord(text: string, start: number, quote: string): Token {
  let end = start + 1
  while (end < text.length && text.charAt(end) !== quote) end += text.charAt(end) === '\\' ? 2 : 1
  if (end >= text.length) return { kind: 'broken', text: '', start, end: text.length }
  const word: Token = { kind: 'word', text: unescaped(text.slice(start + 1, end)), start, end: end + 1 }
  // NGINX requires white space, `;`, `{` or `)` after a closing quote.
  const next = text.charAt(end + 1)
  return next === '' || next === ')' || ENDS_WORD.test(next) ? word : { ...word, kind: 'broken' }
}

function bareWord(text: string, start: number): Token {
  let end = start
  while (end < text.length) {
    const character = text.charAt(end)
    if (character === '\\') end += 2
    else if (character === '$') end = afterBraces(text, end + 1)
    else if (ENDS_WORD.test(character)) break
    else end++
  }
  const stop = Math.min(end, text.length)
  return { kind: 'word', text: unescaped(text.slice(start, stop)), start, end: stop }
}

/** Braces right after a `$` belong to the word, however many there are. */
function afterBraces(text: string, from: number): number {
  let end = from
  while (text.charAt(end) === '{') end++
  return end
}

const ESCAPED: Readonly<Record<string, string>> = { t: '\t', r: '\r', n: '\n', '"': '"', "'": "'", '\\': '\\' }

/** Resolves these escapes; NGINX keeps the backslash before any other character. */
function unescaped(raw: string): string {
  return raw.includes('\\')
    ? raw.replace(/\\([trn"'\\])/g, (_, character: string) => ESCAPED[character] ?? character)
    : raw
}

/** A Lua block is not NGINX syntax (ngx_lua has its own lexer): returns the offset after its closing brace, ignoring strings and comments. */
function skipLua(text: string, from: number): number | undefined {
  const lexeme = /(?:--)?\[(=*)\[[\s\S]*?\]\1\]|--[^\n]*|"(?:\\[\s\S]|[^"\\])*"|'(?:\\[\s\S]|[^'\\])*'|[{}]/g
  lexeme.lastIndex = from
  let depth = 1
  for (let match = lexeme.exec(text); match !== null; match = lexeme.exec(text)) {
    if (match[0] === '{') depth++
    if (match[0] === '}') depth--
    if (depth === 0) return lexeme.lastIndex
  }
  return undefined
}

function lineCounter(text: string): (at: number) => number {
  let line = 1
  let counted = 0
  return (at) => {
    if (at < counted) {
      line = 1
      counted = 0
    }
    for (let next = text.indexOf('\n', counted); next !== -1 && next < at; next = text.indexOf('\n', counted)) {
      line++
      counted = next + 1
    }
    return line
  }
}
