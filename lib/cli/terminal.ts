/** How this process was called, and where what it says goes. */

export interface Terminal {
  /** The words after the program's name. */
  readonly words: readonly string[]
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The binary that runs the program: Node's. */
  readonly binary: string
  out(text: string): void
  err(text: string): void
  /** From here on a reader of standard output that goes away (EPIPE, as of `| head`) is no failure. */
  tolerateClosedReader(): void
  /** The exit status, once nothing is left to do. */
  exitWith(status: number): void
}

export function hostTerminal(): Terminal {
  return {
    words: process.argv.slice(2),
    environment: process.env,
    binary: process.execPath,
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
