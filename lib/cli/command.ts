/** What a command is: its argument, its options, and what it does with them. */

import type { Option } from 'commander'
import type { PatientFetch } from '../adapters/http-client.ts'
import type { ReadFile } from '../settings/token-file.ts'

/** Scripts may rely on these. The last two are EX_TEMPFAIL and EX_CONFIG of sysexits.h. */
export const EXIT = {
  ok: 0,
  refused: 1,
  usage: 2,
  unreachable: 3,
  degraded: 4,
  temporaryFailure: 75,
  wrongSetting: 78,
} as const

/** Everything outside the command line that a command may use. */
export interface CliContext {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  /** The width to which help is wrapped. */
  readonly columns: number
  /** Tables are cut to `columns`; a program that reads them gets every character. */
  readonly isTerminal: boolean
  readonly read: ReadFile
  readonly readInput: () => Promise<string>
  readonly fetch: PatientFetch
  /** Standard error is a terminal: a line there can be updated. */
  readonly isErrorTerminal: boolean
  /** A new random identifier. */
  readonly randomId: () => string
  /** Calls `act` each time that so many milliseconds have passed, until the returned function is called. */
  readonly every: (ms: number, act: () => void) => () => void
  /** The program and its first arguments, as a service manager has to call them. */
  readonly program: readonly string[]
}

/** The parsed command line. */
export interface Invocation {
  /** The droplet name, if the command expects one. */
  readonly name: string
  /** The second name, if the command expects one. */
  readonly newName: string
  /** The path of a file, if the command expects one. */
  readonly file: string
  /** The URL, if the command expects one. */
  readonly url: string
  /** By camelCase name; `undefined` if an option was not given. */
  readonly options: Readonly<Record<string, unknown>>
  /** `--json` is given: for a command that prints by itself. */
  readonly isJson: boolean
}

/** The result of a command: for programs, for people, and for the shell. */
export interface Outcome {
  readonly json: unknown
  readonly text: string
  readonly exitStatus?: number
}

export interface CommandDefinition {
  readonly name: string
  readonly summary: string
  /** Its argument is the name of a droplet, or of what this says. */
  readonly expectsName?: boolean | string
  /** Its second argument is another name for that droplet. */
  readonly expectsNewName?: boolean
  /** Its argument is a file, described like this. */
  readonly expectsFile?: string
  /** Its argument is a URL. */
  readonly expectsUrl?: boolean
  readonly options: readonly Option[]
  /** It runs until it is stopped, and prints no outcome. */
  readonly isService?: boolean
  /** Shown in its help after the options: details and examples. */
  readonly details?: () => string
  /**
   * @returns `undefined` if the command prints no outcome
   * @throws {CommandFailure} if it fails
   * @throws {InvalidArgumentError} (of commander) if its options contradict each other
   */
  readonly run: (invocation: Invocation, context: CliContext) => Promise<Outcome | undefined>
}

/** Ends a command: `message` is printed to standard error, and `json` to standard output if `--json` is given. */
export class CommandFailure extends Error {
  readonly exitStatus: number
  /** Of the API's catalogue of errors, if the API refused the call. */
  readonly code: string | undefined
  readonly json: unknown

  constructor(exitStatus: number, message: string, refusal?: { readonly code: string; readonly json: unknown }) {
    super(message)
    this.exitStatus = exitStatus
    this.code = refusal?.code
    this.json = refusal?.json
  }
}
