/** The fenced blocks of a Markdown page: the examples that they make, and the prose around them. */

interface Block {
  /** Of its opening fence, as `page:line`; the first line is 1. */
  readonly at: string
  /** What follows the fence on its line: `sh`, `ts`, … or nothing. */
  readonly language: string
  /** Without the indentation that the fence has. */
  readonly text: string
}

/** What a reader does, and what the page says comes of it. */
export interface Example extends Block {
  readonly shown?: Block
}

interface PlacedBlock extends Block {
  readonly firstLine: number
  readonly lastLine: number
}

/** Every example: a block without a language that follows another one, with nothing in between, is what that one's commands print. */
export function readExamples(markdown: string, path: string): readonly Example[] {
  const lines = markdown.split('\n')
  const examples: Example[] = []
  let previous: PlacedBlock | undefined
  for (const placed of readBlocks(markdown, path)) {
    const { firstLine, lastLine, ...block } = placed
    const isAnswer =
      previous !== undefined &&
      previous.language !== '' &&
      block.language === '' &&
      lines.slice(previous.lastLine, firstLine - 1).every((line) => line.trim() === '')
    const example = isAnswer ? examples.pop() : undefined
    examples.push(example === undefined ? block : { ...example, shown: block })
    previous = placed
  }
  return examples
}

/** The lines outside fenced blocks, each with its number. */
export function readProse(markdown: string, path: string): readonly { readonly line: number; readonly text: string }[] {
  const blocks = readBlocks(markdown, path)
  return markdown
    .split('\n')
    .map((text, i) => ({ line: i + 1, text }))
    .filter(({ line }) => !blocks.some(({ firstLine, lastLine }) => firstLine <= line && line <= lastLine))
}

/** @throws if a fence is never closed */
function readBlocks(markdown: string, path: string): readonly PlacedBlock[] {
  const blocks: PlacedBlock[] = []
  let open: { readonly line: number; readonly language: string; readonly indent: string; text: string[] } | undefined
  for (const [i, text] of markdown.split('\n').entries()) {
    const [, indent = '', language = ''] = /^( *)```(\w*)$/.exec(text) ?? []
    const isFence = text.trimStart().startsWith('```')
    if (open === undefined) {
      if (isFence) open = { line: i + 1, language, indent, text: [] }
    } else if (isFence) {
      const { line: firstLine, language: opened } = open
      const lines = { firstLine, lastLine: i + 1 }
      blocks.push({ at: `${path}:${firstLine}`, language: opened, text: `${open.text.join('\n')}\n`, ...lines })
      open = undefined
    } else {
      open.text.push(text.startsWith(open.indent) ? text.slice(open.indent.length) : text)
    }
  }
  if (open !== undefined) throw new Error(`${path}:${open.line}: this fence is never closed`)
  return blocks
}
