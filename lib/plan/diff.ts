/** File changes as unified diffs. */

import { createTwoFilesPatch } from 'diff'
import type { FileChange, FileImage } from '../host/file-image.ts'

export interface DescribedChange {
  readonly path: string
  readonly action: 'create' | 'replace' | 'delete'
  /** A unified diff; a symlink is shown as one line with its target. */
  readonly diff: string
}

/** Describes a file change for dry runs. */
export function describeChange({ path, before, after }: FileChange): DescribedChange {
  const action = before === null ? 'create' : after === null ? 'delete' : 'replace'
  const [from, to] = [before === null ? '/dev/null' : path, after === null ? '/dev/null' : path]
  return { path, action, diff: createTwoFilesPatch(from, to, textOf(before), textOf(after)) }
}

/** The difference between two JSON values, as a unified diff of their indented texts. */
export function jsonDiff(before: unknown, after: unknown): string {
  const text = (value: unknown) => (value === null ? '' : `${JSON.stringify(value, undefined, 2)}\n`)
  return createTwoFilesPatch('before', 'after', text(before), text(after))
}

function textOf(image: FileImage | null): string {
  if (image === null) return ''
  return 'text' in image ? image.text : `symlink to ${image.linkTo}\n`
}
