/** What a command is: its words, its options, and what it does with them. */

import { parseArgs } from 'node:util'
import type { ReadFile } from '../settings/token-file.ts'

/** Scripts may rely on these; the last two are those of sysexits.h. */
export const EXIT = {
  ok: 0,
  refused: 1,
  usage: 2,
  unreachable: 3,
  degraded: 4,
  mayPass: 75,
  wrongSetting: 78,
} as const

/** Everything outside that a command may use. */
export interface World {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  readonly read: ReadFile
  /** The program and its first arguments, as a service manager has to call them. */
  readonly program: readonly string[]
}

export interface Option {
  readonly name: string
  /** The word for its value in the help; an option without one is a switch. */
  readonly value?: string
  /** Shown, and meant, as `--no-…`. */
  readonly isNegative?: boolean
  readonly help: string
}

/** What was asked for on the command line. */
export interface Invocation {
  /** The droplet's name, where the command takes one. */
  readonly name: string
  readonly text: (option: string) => string | undefined
  /** `undefined` where the switch was not given. */
  readonly flag: (option: string) => boolean | undefined
}

/** What a command has to say: for programs, for people, and to the shell. */
export interface Outcome {
  readonly json: unknown
  readonly text: string
  readonly exitStatus?: number
}

export interface Command {
  readonly name: string
  readonly summary: string
  readonly takesName?: boolean
  readonly options: readonly Option[]
  /** It goes on until it is ended, and prints no outcome. */
  readonly isService?: boolean
  /** What the help says below the options: particulars and examples. */
  readonly more?: () => string
  /** Resolves to nothing where there is nothing more to say. */
  readonly run: (invocation: Invocation, world: World) => Promise<Outcome | undefined>
}

/** Ends a command: its message is for standard error; `json`, for `--json`, is what a program is told. */
export class CommandFailure extends Error {
  readonly exitStatus: number
  readonly json: unknown

  constructor(exitStatus: number, message: string, json?: unknown) {
    super(message)
    this.exitStatus = exitStatus
    this.json = json
  }
}

function optionsOf({ options, isService }: Command): readonly Option[] {
  const json = isService ? [] : [{ name: 'json', help: 'Print JSON instead of text' }]
  return [...options, ...json, { name: 'help', help: 'Print this' }]
}

/** @throws {CommandFailure} where the words do not fit the command */
export function parseWords(
  command: Command,
  words: readonly string[],
): { readonly invocation: Invocation; readonly json: boolean; readonly help: boolean } {
  const options = Object.fromEntries(
    optionsOf(command).map(({ name, value }) => [name, { type: value === undefined ? 'boolean' : 'string' } as const]),
  )
  const { values, positionals } = tryParse(command, words, options)
  const flag = (option: string) => {
    const value = values[option]
    return typeof value === 'boolean' ? value : undefined
  }
  const text = (option: string) => {
    const value = values[option]
    return typeof value === 'string' ? value : undefined
  }
  const help = flag('help') === true
  const [name = '', ...others] = positionals
  const spare = command.takesName ? others[0] : positionals[0]
  if (!help && spare !== undefined) throw misuse(command, `'${spare}' is one word too many`)
  if (!help && command.takesName && name === '') throw misuse(command, 'NAME is missing: the name of a droplet')
  return { invocation: { name, flag, text }, json: flag('json') === true, help }
}

/** A failure for a wrong use of this command. */
export function misuse(command: Pick<Command, 'name'>, message: string): CommandFailure {
  return new CommandFailure(EXIT.usage, `${message}\nSee proxy-manager ${command.name} --help`)
}

function tryParse(
  command: Command,
  words: readonly string[],
  options: Record<string, { readonly type: 'boolean' | 'string' }>,
) {
  try {
    return parseArgs({ args: [...words], options, allowPositionals: true, allowNegative: true })
  } catch (error) {
    // Only its first sentence is about what was typed.
    throw misuse(command, error instanceof Error ? (error.message.split('. ')[0] ?? '') : String(error))
  }
}

export function helpOf(command: Command): string {
  const shown = optionsOf(command).map(({ name, value, isNegative, help }) => [
    `--${isNegative ? 'no-' : ''}${name}${value === undefined ? '' : ` ${value}`}`,
    help,
  ])
  const width = Math.max(...shown.map(([option = '']) => option.length))
  const lines = shown.map(([option = '', help]) => `  ${option.padEnd(width)}  ${help}`)
  const more = command.more === undefined ? '' : `\n${command.more()}`
  const usage = `proxy-manager ${command.name}${command.takesName ? ' NAME' : ''} [options]`
  return `${usage}\n\n${command.summary}.\n\nOptions:\n${lines.join('\n')}\n${more}`
}
