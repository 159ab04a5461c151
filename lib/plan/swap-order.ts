/**
 * In which order the files of a plan are put in place, so that NGINX accepts what is there at every moment: a text exists before its symlink, and a
 * symlink is gone before its text; and an upstream, or a variable of a route, is defined as long as a server block of any file names it, which is only
 * that of its own route or of the owner of its domain. Two server blocks with one name are only a warning, a domain without one is a gap: the new one comes first.
 * A hand-written site that routes replace is there until they are, unless NGINX would not start with both.
 */
import { basename } from 'node:path'
import type { FileChange, FileImage } from '../host/file-image.ts'
import { SHARED_FILE } from '../route/droplet-name.ts'

export interface SwapStep {
  readonly does: 'rename' | 'link' | 'remove'
  readonly files: readonly FileChange[]
}

/** The changes of a file in both directories, and what NGINX reads of it before and after; empty if it is not enabled. */
interface Unit {
  readonly files: readonly FileChange[]
  readonly before: string
  readonly after: string
}

/**
 * The steps of a swap. A shared file that exists already is replaced after the files it numbers: somebody else's reload in between then serves the
 * previous generation, and not the new one without its routes. One that defines a variable is replaced before the routes, which may name it.
 * `textAt` reads a file that a changed symlink leads to. The steps of the reversed changes undo a swap, at whichever step it has stopped.
 */
export function swapSteps(
  all: readonly FileChange[],
  textAt: (path: string) => string | undefined,
): readonly SwapStep[] {
  const files = all.filter(({ site }) => site === undefined)
  const sites = (order: FileChange['site']) => all.filter(({ site }) => site === order)
  const shared = files.filter(isRenumbered)
  const units = [...Map.groupBy(files, ({ path }) => basename(path)).values()].map((changes) =>
    unitOf(
      changes.filter((file) => !isRenumbered(file)),
      textAt,
    ),
  )
  const of = (isChosen: (unit: Unit) => boolean) => units.filter(isChosen).flatMap((unit) => unit.files)
  const placed = (chosen: readonly FileChange[]): readonly SwapStep[] => [
    { does: 'rename', files: chosen.filter(({ after }) => after !== null && !isLink(after)) },
    { does: 'link', files: chosen.filter(({ after }) => isLink(after)) },
  ]
  const isRemoved = ({ after }: FileChange) => after === null
  const removed = files.filter(isRemoved)
  const owners = new Set(of(({ before }) => hasServer(before)))
  const isText = (file: FileChange) => !isLink(file.before) && removed.some((other) => isLinkOf(other, file))
  const links = removed.filter((file) => !isText(file))
  const steps: readonly SwapStep[] = [
    { does: 'remove', files: sites('first').filter(isRemoved) },
    ...placed(sites('last')),
    { does: 'rename', files: shared.filter(isDefining) },
    ...placed(of(isAdding)),
    ...placed(of((unit) => isPlain(unit) && !isDemoted(unit))),
    ...placed(of((unit) => isPlain(unit) && isDemoted(unit))),
    { does: 'remove', files: links.filter((file) => owners.has(file) && !isShared(file)) },
    ...placed(of(isLosing)),
    { does: 'remove', files: links.filter((file) => !owners.has(file) && !isShared(file)) },
    ...placed(of(isGone)),
    { does: 'remove', files: sites('last').filter(isRemoved) },
    { does: 'rename', files: shared.filter((file) => !isDefining(file)) },
    // The routes name its variables.
    { does: 'remove', files: links.filter(isShared) },
    { does: 'remove', files: removed.filter(isText) },
    ...placed(sites('first')),
  ]
  return steps.filter((step) => step.files.length > 0)
}

function unitOf(files: readonly FileChange[], textAt: (path: string) => string | undefined): Unit {
  const enabled = files.find(({ before, after }) => isLink(before) || isLink(after))
  const text = files.find((file) => file !== enabled)
  const read = (side: 'before' | 'after'): string => {
    const image = enabled === undefined ? text?.[side] : enabled[side]
    if (image === undefined || image === null) return ''
    if ('text' in image) return image.text
    const target = text?.[side] ?? null
    return target !== null && 'text' in target ? target.text : (textAt(image.linkTo) ?? '')
  }
  return { files, before: read('before'), after: read('after') }
}

/** It is named only by the server blocks of another file, which come later. */
function isAdding({ before, after }: Unit): boolean {
  return !hasServer(after) && lacks(before, after)
}

/** Server blocks of another file may name it until they are replaced. */
function isLosing({ before, after }: Unit): boolean {
  return after !== '' && !hasServer(before) && lacks(after, before)
}

function isDemoted({ before, after }: Unit): boolean {
  return hasServer(before) && !hasServer(after)
}

function isGone({ after }: Unit): boolean {
  return after === ''
}

function isPlain(unit: Unit): boolean {
  return !isAdding(unit) && !isLosing(unit) && !isGone(unit)
}

/** Whether a text lacks an upstream or a variable that another one defines. */
function lacks(text: string, other: string): boolean {
  const defined = definedIn(text)
  return definedIn(other).some((name) => !defined.includes(name))
}

function definedIn(text: string): readonly string[] {
  return [...text.matchAll(/^(?:upstream|map \S+) (\S+) \{$/gm)].map(([, name = '']) => name)
}

function hasServer(text: string): boolean {
  return /^server \{/m.test(text)
}

function isLinkOf(link: FileChange, file: FileChange): boolean {
  return link !== file && basename(link.path) === basename(file.path)
}

function isShared({ path }: FileChange): boolean {
  return basename(path) === SHARED_FILE
}

function isRenumbered(file: FileChange): boolean {
  const { before, after } = file
  return isShared(file) && before !== null && after !== null && !isLink(before) && !isLink(after)
}

function isDefining({ before, after }: FileChange): boolean {
  const defined = variablesOf(before)
  return variablesOf(after).some((name) => !defined.includes(name))
}

/** The variables that the shared file defines. */
function variablesOf(image: FileImage | null): readonly string[] {
  const text = image !== null && 'text' in image ? image.text : ''
  return [...text.matchAll(/^(?:geo|map) .* (\$\w+) \{$/gm)].map(([, name = '']) => name)
}

function isLink(image: FileImage | null): boolean {
  return image !== null && 'linkTo' in image
}
