/** Prints configuration from data: the only place that knows NGINX's quoting. */
import { ProxyManagerError } from '../../errors.ts'
import { type ReadDirective, readNginx } from './parse.ts'

/** A literal, a variable, or a sequence of both in one argument, such as `https://a.example$request_uri`. */
export type Argument = Part | readonly Part[]
type Part = string | { readonly variable: string }

/** One directive: its name, its arguments and, for a block, the directives in it. */
export type Directive = readonly [name: string, args: readonly Argument[], block?: readonly Directive[]]

const BARE = /^[A-Za-z0-9_.:/=~^@,*?&%()[\]-]+$/
const VARIABLE = /^[a-z0-9_]+$/

/**
 * Prints directives, then parses the text and compares the two trees, so that no argument can become syntax.
 * @throws {ProxyManagerError} INTERNAL if a literal contains `$` (NGINX has no escape for it) or a control character, or the trees differ.
 */
export function printNginx(directives: readonly Directive[]): string {
  assertSameTree(withoutKept(directives))
  return printUnchecked(directives)
}

/** Texts of blocks inside a server block, already checked. Each is complete, so the rest is checked without them. */
const kept = new WeakMap<Directive, string>()
const INDENT = '    '

/** Checks a block inside a server block once, and keeps its text as long as the object: of a thousand, a change prints those that changed. */
export function keepPrinted(block: Directive): Directive {
  assertSameTree([block])
  kept.set(block, printDirective(block, INDENT))
  return block
}

function withoutKept(directives: readonly Directive[]): readonly Directive[] {
  return directives.flatMap((directive): Directive[] => {
    const [name, args, block] = directive
    if (kept.has(directive)) return []
    return [block === undefined ? directive : [name, args, withoutKept(block)]]
  })
}

function assertSameTree(directives: readonly Directive[]): void {
  const read = readNginx(printUnchecked(directives))
  if (!read.complete || !sameTree(directives, read.directives))
    throw unprintable('the printed configuration parses differently')
}

/** The text alone, to be compared with one that was checked when it was written. */
export function printUnchecked(directives: readonly Directive[]): string {
  return printBlock(directives, '')
}

function printBlock(directives: readonly Directive[], indent: string): string {
  const isKept = indent === INDENT
  return directives.map((one) => (isKept ? kept.get(one) : undefined) ?? printDirective(one, indent)).join('')
}

function printDirective([name, args, block]: Directive, indent: string): string {
  const head = indent + [name, ...args].map(printArgument).join(' ')
  if (block === undefined) return `${head};\n`
  return `${head} {\n${printBlock(block, indent + INDENT)}${indent}}\n`
}

function printArgument(argument: Argument): string {
  const parts = partsOf(argument)
  if (parts.some((part, i) => typeof part !== 'string' && /^\w/.test(plainText(parts.slice(i + 1)))))
    throw unprintable('the text after a variable would be read as part of its name')
  const isBare = parts.length > 0 && parts.every((part) => typeof part !== 'string' || BARE.test(part))
  const text = parts.map(printPart).join('')
  return isBare ? text : `"${text}"`
}

function printPart(part: Part): string {
  if (typeof part !== 'string') {
    if (!VARIABLE.test(part.variable)) throw unprintable('a variable has an invalid name')
    return `$${part.variable}`
  }
  if (part.includes('$')) throw unprintable('NGINX has no escape for a literal dollar sign')
  if (/[\x00-\x1f\x7f\u2028\u2029]/.test(part)) throw unprintable('a literal contains a control character')
  return part.replace(/[\\"]/g, '\\$&')
}

function partsOf(argument: Argument): readonly Part[] {
  return typeof argument === 'string' || 'variable' in argument ? [argument] : argument
}

function sameTree(meant: readonly Directive[], read: readonly ReadDirective[]): boolean {
  return meant.length === read.length && meant.every((directive, i) => sameDirective(directive, read[i]))
}

function sameDirective([name, args, block]: Directive, read: ReadDirective | undefined): boolean {
  if (read === undefined || read.name !== name || read.args.length !== args.length) return false
  if (!args.every((argument, i) => plainText(argument) === read.args[i])) return false
  if (block === undefined || read.block === undefined) return block === read.block
  return sameTree(block, read.block)
}

function plainText(argument: Argument): string {
  return partsOf(argument)
    .map((part) => (typeof part === 'string' ? part : `$${part.variable}`))
    .join('')
}

function unprintable(reason: string): ProxyManagerError {
  return new ProxyManagerError('INTERNAL', { details: { stage: 'plan' }, cause: new Error(reason) })
}
