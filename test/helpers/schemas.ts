/** What the tables of valid and invalid values have in common. */
import * as assert from 'uvu/assert'
import * as v from 'valibot'

/** Each fault as `path: message`, in alphabetical order. */
export function faults(schema: v.GenericSchema, value: unknown): string[] {
  const result = v.safeParse(schema, value)
  return (result.issues ?? []).map((issue) => `${v.getDotPath(issue) ?? ''}: ${issue.message}`).sort()
}

export function assertTaken(
  schema: v.GenericSchema,
  table: readonly (readonly [given: unknown, taken: unknown])[],
): void {
  for (const [given, taken] of table) {
    const result = v.safeParse(schema, given)
    assert.ok(result.success, `refused: ${JSON.stringify(given)}`)
    assert.equal(result.output, taken, JSON.stringify(given))
  }
}

export function assertRefused(schema: v.GenericSchema, values: readonly unknown[]): void {
  for (const value of values) assert.is.not(faults(schema, value).length, 0, `taken: ${JSON.stringify(value)}`)
}

export const NOT_STRINGS = [undefined, null, 1, true, [], {}, ['a.example.com']]
export const label = (length: number) => 'a'.repeat(length)
/** A name of exactly this many characters, in labels of at most 63. */
export const nameOf = (length: number) => `${'a.'.repeat(200).slice(0, length - 4)}`.replace(/\.$/, 'a').concat('.com')
