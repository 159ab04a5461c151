/** JSON as a manual shows it: broken into lines, and with `…` in place of what was left out. */

/** Stands for the rest of a list, for further keys of an object (as a key), and for any text within a text. */
export const ELISION = '…'

const TOKEN = /"(?:[^"\\]|\\.)*"|…|[{}[\],:]|[^\s"…{}[\],:]+/g

/** Parses it; a bare `…` becomes a key or an element of its own, and what an ending `…` leaves open is closed, with `…` in each. */
export function parseShown(text: string): unknown {
  const open: string[] = []
  let json = ''
  const elide = () => {
    const comma = /[,[{]$/.test(json) ? '' : ','
    json += comma + (open.at(-1) === '}' ? `"${ELISION}":"${ELISION}"` : `"${ELISION}"`)
  }
  let isElided = false
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === ELISION) {
      elide()
      isElided = true
      continue
    }
    if (isElided && !/[\]},]/.test(token[0] ?? '')) json += ','
    isElided = false
    if (token === '{' || token === '[') open.push(token === '{' ? '}' : ']')
    if (token === '}' || token === ']') open.pop()
    json += token
  }
  if (open.length > 0 && !isElided) throw new Error(`what is shown ends too early: ${text.slice(-60)}`)
  for (let isInnermost = true; open.length > 0; isInnermost = false) {
    if (!isInnermost) elide()
    json += open.pop()
  }
  return JSON.parse(json)
}

/** The answers in one block: each JSON value begins at the start of a line, and lines of text in a row are one answer. */
export function splitAnswers(text: string): readonly string[] {
  const answers: string[] = []
  let isText = false
  for (const line of text.trimEnd().split('\n')) {
    const isJson = /^[{[]/.test(line)
    const isContinued = /^\s/.test(line) || (isText && !isJson)
    const former = isContinued ? answers.pop() : undefined
    answers.push(former === undefined ? line : `${former}\n${line}`)
    if (!isContinued) isText = !isJson
  }
  return answers
}
