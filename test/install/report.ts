/** What was tried on which machine, as it happens and as a table. */

interface Row {
  readonly machine: string
  readonly what: string
  readonly verdict: string
  readonly seconds: number
  readonly isGreen: boolean
}

export interface Report {
  /** Tries something; what it returns is a remark. @throws what it throws, after it has been noted */
  step(machine: string, what: string, attempt: () => Promise<string | undefined>): Promise<void>
  /** Notes what ended a part, unless a step has. */
  failed(machine: string, error: unknown): void
  /** @returns whether everything was as it must be */
  print(): boolean
}

export function createReport(): Report {
  const rows: Row[] = []
  const noted = new Set<unknown>()
  const note = (row: Row) => {
    rows.push(row)
    process.stdout.write(`${row.machine}: ${row.what}: ${row.verdict} (${row.seconds} s)\n`)
  }
  return {
    step: async (machine, what, attempt) => {
      const began = performance.now()
      const seconds = () => Math.round((performance.now() - began) / 1000)
      try {
        const remark = await attempt()
        note({ machine, what, verdict: remark ?? 'yes', seconds: seconds(), isGreen: true })
      } catch (error) {
        noted.add(error)
        note({ machine, what, verdict: `NO: ${reasonOf(error)}`, seconds: seconds(), isGreen: false })
        throw error
      }
    },
    failed: (machine, error) => {
      if (noted.has(error)) return
      note({ machine, what: 'can be tried here', verdict: `NO: ${reasonOf(error)}`, seconds: 0, isGreen: false })
    },
    print: () => {
      process.stdout.write('\n| machine | what | result | s |\n|---|---|---|---|\n')
      for (const { machine, what, verdict, seconds } of rows)
        process.stdout.write(`| ${machine} | ${what} | ${verdict.replaceAll('|', '\\|')} | ${seconds} |\n`)
      return rows.every(({ isGreen }) => isGreen)
    },
  }
}

function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replaceAll(/\s*\n\s*/g, ' / ')
}
