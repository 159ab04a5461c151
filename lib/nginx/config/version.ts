/** Version numbers of programs. */

export type Version = readonly [number, number, number]

/** Whether `version` is `wanted` or later; missing parts of `version` count as 0. */
export function isAtLeast(version: readonly number[], wanted: readonly number[]): boolean {
  for (const [i, part] of wanted.entries()) {
    const own = version[i] ?? 0
    if (own !== part) return own > part
  }
  return true
}
