/** Files that bear a name of ours. */
import { dropletOfFileName, isOwnFileName } from '../route/file-names.ts'

/** A file that bears a name of ours; made once for each listing, since it is looked at in every sweep. */
export interface OwnFile {
  readonly name: string
  readonly path: string
  readonly dropletName: string | undefined
}

export function ownFileAt(path: string): OwnFile | undefined {
  const name = path.slice(path.lastIndexOf('/') + 1)
  return isOwnFileName(name) ? { name, path, dropletName: dropletOfFileName(name) } : undefined
}
