/** The findings of a part: figures, and broken promises. */

export interface Figure {
  readonly what: string
  readonly value: number | string
  /** The promise, if there is one: no more than this. */
  readonly atMost?: number
}

export interface Findings {
  readonly figures: readonly Figure[]
  /** A sentence for each broken promise. */
  readonly violations: readonly string[]
  /** Why the part cannot run on this machine. */
  readonly impossible?: string
}

/** One part of a proof; `B` has its bounds. */
export interface Part<B> {
  readonly title: string
  run(bounds: B, stopped: AbortSignal): Promise<Findings>
}

const SHOWN = 10

/** Whether every promise was kept. */
export function isKept({ figures, violations }: Findings): boolean {
  return violations.length === 0 && figures.every(isWithin)
}

/** The part's table, and the first of its violations. */
export function describeFindings(name: string, title: string, seconds: number, findings: Findings): string {
  const { figures, violations, impossible } = findings
  const rows = figures.map((figure) => {
    const value = typeof figure.value === 'number' ? figure.value.toLocaleString('en-US') : figure.value
    const promise =
      figure.atMost === undefined ? '' : `at most ${figure.atMost}: ${isWithin(figure) ? 'kept' : 'BROKEN'}`
    return `  ${figure.what.padEnd(68)}${value.padStart(14)}   ${promise}`.trimEnd()
  })
  const more = violations.length > SHOWN ? [`  ... and ${violations.length - SHOWN} more`] : []
  return [
    `${name}: ${title} (${seconds.toFixed(0)} s)`,
    ...(impossible === undefined ? [] : [`  not possible here: ${impossible}`]),
    ...rows,
    ...violations.slice(0, SHOWN).map((violation) => `  BROKEN  ${violation}`),
    ...more,
  ].join('\n')
}

function isWithin({ value, atMost }: Figure): boolean {
  return atMost === undefined || (typeof value === 'number' && value <= atMost)
}
