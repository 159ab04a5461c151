/** Names of the files that Proxy Manager writes. */

import * as v from 'valibot'
import { DropletName } from './droplet-name.ts'

/** The file with what all routes share; its name sorts before theirs. */
export const SHARED_FILE = '000-proxy-manager.conf'

const PREFIX = 'fpai-'
const SUFFIX = '.conf'

export function routeFileName(dropletName: string): string {
  return `${PREFIX}${dropletName}${SUFFIX}`
}

/** The droplet of a route's file name; `undefined` for any other name. */
export function dropletOfFileName(name: string): string | undefined {
  if (!name.startsWith(PREFIX) || !name.endsWith(SUFFIX)) return undefined
  const dropletName = name.slice(PREFIX.length, -SUFFIX.length)
  return v.is(DropletName, dropletName) ? dropletName : undefined
}

/** Whether a file name is one that Proxy Manager writes. */
export function isOwnFileName(name: string): boolean {
  return name === SHARED_FILE || dropletOfFileName(name) !== undefined
}
