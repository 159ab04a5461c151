/** Compares an answer as curl prints it with the one that the manual shows: JSON, text, or either with a head in front. */
import type { Comparison } from './compare-shown.ts'
import { ELISION, parseShown } from './shown-json.ts'

export function compareAnswer(comparison: Comparison, shown: string, answered: string): readonly string[] {
  if (!shown.startsWith('HTTP/')) return compareBody(comparison, shown, answered)
  const [wanted, found] = [split(shown), split(answered.replaceAll('\r\n', '\n'))]
  return [...compareHead(comparison, wanted.head, found.head), ...compareBody(comparison, wanted.body, found.body)]
}

function compareBody(comparison: Comparison, shown: string, answered: string): readonly string[] {
  if (!/^[{[]/.test(shown)) return comparison.text(shown, answered)
  return comparison.json(parseShown(shown), JSON.parse(answered))
}

/** Each shown line has to be there; headers that are not shown may only be there where a line says so. */
function compareHead(comparison: Comparison, shown: readonly string[], answered: readonly string[]): readonly string[] {
  const [status = '', ...headers] = shown
  const nameOf = (line: string) => line.slice(0, line.indexOf(':')).toLowerCase()
  const [answeredStatus = '', ...others] = answered
  const strangers = others.filter((line) => !headers.some((header) => nameOf(header) === nameOf(line)))
  return [
    ...(`${answeredStatus} `.startsWith(`${status} `) ? [] : [`${status} is shown, and came as ${answeredStatus}`]),
    ...headers
      .filter((header) => header !== ELISION)
      .flatMap((header) => comparison.text(header, others.find((line) => nameOf(line) === nameOf(header)) ?? '')),
    ...(headers.includes(ELISION) ? [] : strangers.map((line) => `the header ${line} is not shown`)),
  ]
}

function split(text: string): { readonly head: readonly string[]; readonly body: string } {
  const end = text.indexOf('\n\n')
  return { head: text.slice(0, end).split('\n'), body: text.slice(end + 2) }
}
