/** The process as the command line sees it: its arguments, its environment, its output. */

export interface Terminal {
  /** The arguments after the program's name. */
  readonly argv: readonly string[]
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The binary that runs the program: Node's. */
  readonly binary: string
  /** The width of the terminal; 80 without a terminal. */
  readonly columns: number
  /** Standard output is a terminal. */
  readonly isTerminal: boolean
  /** Standard error is a terminal. */
  readonly isErrorTerminal: boolean
  out(text: string): void
  err(text: string): void
  /** All of standard input. */
  readInput(): Promise<string>
  every(ms: number, act: () => void): () => void
  /**
   * From now on it is no failure if a reader of the output goes away (EPIPE, as with `| head`). Output that cannot be written otherwise, as to a
   * full disk, is one line and exit status 1.
   */
  tolerateClosedReader(): void
  /** The exit status, once nothing is left to do. */
  exitWith(status: number): void
}

export function hostTerminal(): Terminal {
  let hasFailed = false
  const onError = (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return
    if (!hasFailed) process.stderr.write(`proxy-manager: the output cannot be written (${error.code})\n`)
    hasFailed = true
    process.exitCode = 1
  }
  return {
    argv: process.argv.slice(2),
    environment: process.env,
    binary: process.execPath,
    columns: process.stdout.columns || process.stderr.columns || 80,
    isTerminal: process.stdout.isTTY,
    isErrorTerminal: process.stderr.isTTY,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    readInput: async () => {
      const chunks: Buffer[] = []
      for await (const chunk of process.stdin) chunks.push(chunk)
      return Buffer.concat(chunks).toString()
    },
    every: (ms, act) => {
      const timer = setInterval(act, ms)
      return () => clearInterval(timer)
    },
    tolerateClosedReader: () => {
      for (const stream of [process.stdout, process.stderr]) stream.on('error', onError)
    },
    exitWith: (status) => {
      if (!hasFailed) process.exitCode = status
    },
  }
}
