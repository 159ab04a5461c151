/** The names of the files that Proxy Manager writes. */

import * as v from 'valibot'
import { DropletName } from './droplet-name.ts'

export const SHARED_FILE = '000-proxy-manager.conf'

const PREFIX = 'fpai-'
const SUFFIX = '.conf'

export function routeFileName(dropletName: string): string {
  return `${PREFIX}${dropletName}${SUFFIX}`
}

/** The droplet whose route a file name belongs to; `undefined` for files that are not ours. */
export function dropletOfFileName(name: string): string | undefined {
  if (!name.startsWith(PREFIX) || !name.endsWith(SUFFIX)) return undefined
  const dropletName = name.slice(PREFIX.length, -SUFFIX.length)
  return v.is(DropletName, dropletName) ? dropletName : undefined
}

/** Whether a file name is one that Proxy Manager writes. */
export function isOwnFileName(name: string): boolean {
  return name === SHARED_FILE || dropletOfFileName(name) !== undefined
}
