/** Text for people: aligned columns, without control characters that a terminal would obey. */

/** Rows under a heading, each column as wide as its widest cell. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [heading, ...rows]
  const widths = heading.map((_, i) => Math.max(...all.map((row) => row[i]?.length ?? 0)))
  return all.map((row) => `${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}`.trimEnd()).join('\n')
}

/** One line per value, the values in one column; a list has one line per item, and `undefined` none. */
export function fields(values: Readonly<Record<string, string | readonly string[] | undefined>>): string {
  const lines = Object.entries(values).flatMap(([name, value]) =>
    (typeof value === 'string' ? [value] : (value ?? [])).map((item, i) => [i === 0 ? name : '', item]),
  )
  const width = Math.max(...lines.map(([name = '']) => name.length))
  return lines.map(([name = '', value]) => `${name.padEnd(width)}  ${value}`).join('\n')
}

/** Control characters become question marks, except line ends and tabs. */
export function printable(text: string): string {
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, '?')
}
