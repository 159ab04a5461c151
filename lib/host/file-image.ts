/** The content of a path before and after a change. */

/** What is at a path: a regular file with this text, or a symlink. Absence is null. */
export type FileImage = { readonly text: string } | { readonly linkTo: string }

/** One path before and after a change. */
export interface FileChange {
  readonly path: string
  readonly before: FileImage | null
  readonly after: FileImage | null
  /**
   * Only of a hand-written site that routes replace: it is removed after they are linked, or `first`, if NGINX would not start with both of them.
   */
  readonly site?: 'last' | 'first'
}

/** Whether two images are the same, byte for byte. */
export function sameImage(a: FileImage | null, b: FileImage | null): boolean {
  if (a === null || b === null) return a === b
  return 'text' in a ? 'text' in b && a.text === b.text : 'linkTo' in b && a.linkTo === b.linkTo
}
