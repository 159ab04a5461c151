/** Versions of programs, as numbers. */

export type Version = readonly [number, number, number]

/** Whether `version` is at least the wanted one. */
export function isAtLeast(version: readonly number[], wanted: readonly number[]): boolean {
  for (const [i, part] of wanted.entries()) {
    const own = version[i] ?? 0
    if (own !== part) return own > part
  }
  return true
}
