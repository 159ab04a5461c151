/** JSON texts of answers. */

const texts = new WeakMap<object, string>()

/**
 * The JSON text of a body. The text of each object in a list is kept as long as that object is: a list of routes is asked for again and again,
 * and most of its routes are the ones of before.
 */
export function jsonText(body: unknown): string {
  return Array.isArray(body) ? `[${body.map(itemText).join(',')}]` : JSON.stringify(body)
}

function itemText(item: unknown): string {
  if (typeof item !== 'object' || item === null) return JSON.stringify(item ?? null)
  const kept = texts.get(item)
  if (kept !== undefined) return kept
  const text = JSON.stringify(item)
  texts.set(item, text)
  return text
}
