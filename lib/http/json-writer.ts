/** JSON texts of answers. */

/**
 * Makes the JSON text of a body. The text of each object in a list is kept as long as that object is: a list of routes is asked for again and
 * again, and most of its routes are the ones of before. So no such object may change.
 */
export function jsonWriter(): (body: unknown) => string {
  const texts = new WeakMap<object, string>()
  const textOf = (item: unknown): string => {
    if (typeof item !== 'object' || item === null) return JSON.stringify(item ?? null)
    const text = texts.get(item) ?? JSON.stringify(item)
    texts.set(item, text)
    return text
  }
  return (body) => (Array.isArray(body) ? `[${body.map(textOf).join(',')}]` : JSON.stringify(body))
}
