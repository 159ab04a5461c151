/** Text for people: aligned columns, without control characters that a terminal would obey. */

const GAP = '  '
/** A column is not cut to less. */
const MIN_COLUMN = 6

/** Rows under a heading, each column as wide as its widest cell. To fit `width`, cells of the widest columns are cut and end with "…". */
export function table(heading: readonly string[], rows: readonly (readonly string[])[], width?: number): string {
  const all = [heading, ...rows]
  const widths = heading.map((_, i) => Math.max(...all.map((row) => row[i]?.length ?? 0)))
  let excess = widths.reduce((sum, one) => sum + one, GAP.length * (widths.length - 1)) - (width ?? Infinity)
  for (let widest = Math.max(...widths); excess > 0 && widest > MIN_COLUMN; widest = Math.max(...widths), excess--)
    widths[widths.indexOf(widest)] = widest - 1
  const cellOf = (cell: string, size: number) =>
    cell.length > size ? `${cell.slice(0, size - 1)}…` : cell.padEnd(size)
  return all
    .map((row) =>
      row
        .map((cell, i) => cellOf(cell, widths[i] ?? 0))
        .join(GAP)
        .trimEnd(),
    )
    .join('\n')
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

/** JSON on several lines, or on one without an indent. Control characters that JSON allows in strings, and a terminal may obey, are escaped. */
export function plainJson(json: unknown, indent = 2): string {
  const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  return JSON.stringify(json, null, indent).replace(/[\x7f-\x9f]/g, escaped)
}
