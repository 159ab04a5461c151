/** Droplet names, which are the names of routes, and the names of the files that Proxy Manager writes. */
import * as v from 'valibot'

const NAME = /^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$/
const RULE = 'must be 1 to 63 of a-z, 0-9, "_" and "-", beginning and ending with a letter or digit'

/** A droplet's name, also part of a file name: 1 to 63 lower-case letters and digits, with `_` and `-` inside. */
export const DropletName = v.pipe(
  v.string('must be a string'),
  v.description('Name of the droplet, and of its route'),
  v.regex(NAME, ({ input }) => {
    const folded = foldName(decoded(input))
    return NAME.test(folded) ? `${RULE}; as a droplet name this is ${JSON.stringify(folded)}` : RULE
  }),
  v.notValues(['default', '000-default', '000-proxy-manager'], 'is reserved'),
)
export type DropletName = string

/** The droplet name for a name of the mesh, such as `Visibility Deck`; may be no valid one. */
export function foldName(name: string): DropletName {
  return name
    .trim()
    .toLowerCase()
    .replace(/[\s.]+/g, '-')
}

/** The droplet name for a domain and a path, if it has one, if the caller passes none; may be no valid one. */
export function nameFromDomain(domain: string, path = ''): DropletName {
  return (domain + path).replace(/[./]/g, '-')
}

/** A name in a path may be percent-encoded. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

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
