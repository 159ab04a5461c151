/** The process as the command line sees it: its arguments, its environment, its output. */

export interface Terminal {
  /** The arguments after the program's name. */
  readonly argv: readonly string[]
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The binary that runs the program: Node's. */
  readonly binary: string
  /** The width of the terminal; 80 without a terminal. */
  readonly columns: number
  out(text: string): void
  err(text: string): void
  /** From now on it is no failure if the reader of standard output goes away (EPIPE, as with `| head`). */
  tolerateClosedReader(): void
  /** The exit status, once nothing is left to do. */
  exitWith(status: number): void
}

export function hostTerminal(): Terminal {
  return {
    argv: process.argv.slice(2),
    environment: process.env,
    binary: process.execPath,
    columns: process.stdout.isTTY ? process.stdout.columns : 80,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    tolerateClosedReader: () =>
      void process.stdout.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EPIPE') throw error
      }),
    exitWith: (status) => {
      process.exitCode = status
    },
  }
}
