/** What was made of an object, kept as long as that object lives. */

/** Returns what is known for the key, or makes it. */
export function remember<K extends object, T>(known: WeakMap<K, T>, key: K, make: () => T): T {
  const found = known.get(key)
  if (found !== undefined) return found
  const made = make()
  known.set(key, made)
  return made
}
