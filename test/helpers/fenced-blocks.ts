/** The examples that the fenced blocks of a Markdown text make, with where they stand. */

interface Block {
  /** Of its opening fence; the first one is 1. */
  readonly line: number
  /** What stands behind the fence: `sh`, `ts`, … or nothing. */
  readonly language: string
  /** Without the indentation that the fence has. */
  readonly text: string
}

/** What a reader does, and what the text says comes of it. */
export interface Example extends Block {
  readonly shown?: Block
}

interface Placed extends Block {
  readonly lastLine: number
}

/** Every example: a block without a language that follows another one, with nothing in between, is what that one's commands print. */
export function readExamples(markdown: string): readonly Example[] {
  const lines = markdown.split('\n')
  const examples: Example[] = []
  let former: Placed | undefined
  for (const block of readBlocks(markdown)) {
    const isAnswer =
      former !== undefined &&
      former.language !== '' &&
      block.language === '' &&
      lines.slice(former.lastLine, block.line - 1).every((line) => line.trim() === '')
    const asked = isAnswer ? examples.pop() : undefined
    examples.push(asked === undefined ? block : { ...asked, shown: block })
    former = block
  }
  return examples
}

function readBlocks(markdown: string): readonly Placed[] {
  const blocks: Placed[] = []
  let open: { readonly line: number; readonly language: string; readonly indent: string; text: string[] } | undefined
  for (const [i, text] of markdown.split('\n').entries()) {
    const [, indent = '', language = ''] = /^( *)```(\w*)$/.exec(text) ?? []
    const isFence = text.trimStart().startsWith('```')
    if (open === undefined) {
      if (isFence) open = { line: i + 1, language, indent, text: [] }
    } else if (isFence) {
      blocks.push({ line: open.line, language: open.language, text: `${open.text.join('\n')}\n`, lastLine: i + 1 })
      open = undefined
    } else {
      open.text.push(text.startsWith(open.indent) ? text.slice(open.indent.length) : text)
    }
  }
  if (open !== undefined) throw new Error(`the fence in line ${open.line} is never closed`)
  return blocks
}
