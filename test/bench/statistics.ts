/** The middle of the values, or the mean of the middle two; NaN if there are none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const [low, high] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]]
  return low === undefined || high === undefined ? Number.NaN : (low + high) / 2
}

/** The smallest value that this percentage of the values does not exceed; NaN if there are none. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? Number.NaN
}

/** The median of the quotients of values that were measured in turn, so that what slows down both of a pair cancels out. */
export function medianRatio(values: readonly number[], others: readonly number[]): number {
  return median(
    values.flatMap((value, i) => {
      const other = others[i]
      return other === undefined ? [] : [value / other]
    }),
  )
}
