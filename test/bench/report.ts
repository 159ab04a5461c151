/** The figures as readable tables, and whether they reach their targets. */
import { median } from './statistics.ts'

/** The results of one part of the benchmarks. */
export interface Findings {
  readonly tables: readonly string[]
  readonly targets: readonly Target[]
}

export interface Target {
  readonly what: string
  readonly value: number
  readonly bound: 'at most' | 'at least' | 'below' | 'above'
  readonly limit: number
  readonly unit: Unit
}

type Unit = 'floors' | 'ms' | 'MiB' | 'times' | 'calls' | '%'

const DIGITS: Readonly<Record<Unit, number>> = {
  floors: 2,
  ms: 1,
  MiB: 0,
  times: 3,
  calls: 0,
  '%': 1,
}

/** One line: reached or missed, with the figure. What could not be measured is missed. */
export function describeTarget({ what, value, bound, limit, unit }: Target): string {
  const isReached = {
    'at most': value <= limit,
    'at least': value >= limit,
    below: value < limit,
    above: value > limit,
  }[bound]
  // A figure that is rounded to its limit would make a miss look like a mistake.
  const rounded = value.toFixed(DIGITS[unit])
  const shown = !isReached && Number(rounded) === limit ? String(value) : rounded
  return `${isReached ? 'reached' : 'MISSED '}  ${what}: ${shown} ${unit}, ${bound} ${limit}`
}

/** Columns, the first one aligned left and the others right. */
export function table(rows: readonly (readonly string[])[]): string {
  const count = Math.max(0, ...rows.map((row) => row.length))
  const widths = Array.from({ length: count }, (_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)))
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('   ')
  return rows.map((row) => line(row).trimEnd()).join('\n')
}

/** The median of milliseconds. */
export function inMs(values: readonly number[], digits = 1): string {
  return `${median(values).toFixed(digits)} ms`
}

export function inMib(kib: number): string {
  return `${(kib / 1024).toFixed(0)} MiB`
}

/** A share between 0 and 1. */
export function inPercent(shares: readonly number[]): string {
  return `${(median(shares) * 100).toFixed(0)} %`
}

export function countOf(routes: number): string {
  return routes === 1 ? '1 route' : `${routes} routes`
}
