/** The path of a route: several droplets can be mounted under one domain. */
import * as v from 'valibot'

/** The path of a route that has none of its own: what no other route of its domain has. */
export const ROOT = '/'
/** RFC 8555, 8.3: a mount at or below it would answer the CA's challenges. */
const CHALLENGES = '/.well-known/acme-challenge'
const MAX_LENGTH = 255
/** Unreserved characters (RFC 3986, 2.3): the same in every spelling of a request that NGINX normalizes, and in its configuration. */
const SEGMENTS = /^(\/[A-Za-z0-9._~-]+)+$/

/** A path: `/`, or segments such as `/api/v2`. */
export const RoutePath = v.pipe(
  v.string('must be a string'),
  v.description('Path that is proxied, with all paths below it, such as /api; of several routes the longest path wins'),
  v.rawCheck(({ dataset, addIssue }) => {
    const fault = dataset.typed ? faultOf(dataset.value) : undefined
    if (fault !== undefined) addIssue({ message: fault })
  }),
)

function faultOf(path: string): string | undefined {
  if (path === ROOT) return undefined
  if (path.length > MAX_LENGTH) return `must be at most ${MAX_LENGTH} characters long`
  if (/^\/.*[^/]\/$/.test(path)) return 'must not end in "/": /api is for /api, /api/ and all below'
  if (!SEGMENTS.test(path)) return 'must be "/", or segments of letters, digits, "-", ".", "_" and "~", such as /api/v2'
  if (path.split('/').some((segment) => /^\.+$/.test(segment))) return 'must not have a segment of dots only'
  if (isBelow(path, CHALLENGES)) return "is needed for the CA's challenges"
  return undefined
}

/** Whether a path is another one, or below it. */
export function isBelow(path: string, other: string): boolean {
  return path === other || path.startsWith(`${other}/`)
}

/** The path of a route; those without one have their whole domain. */
export function pathOf({ path = ROOT }: { readonly path?: string | undefined }): string {
  return path
}

/** Whether a route is mounted at a path of its domain. */
export function isMounted(route: { readonly path?: string | undefined }): boolean {
  return pathOf(route) !== ROOT
}

interface Mountable {
  readonly droplet_name: string
  readonly path?: string
}

/** Compares two routes by their paths, and by their names. */
export function byPath(a: Mountable, b: Mountable): number {
  const [one, other] = pathOf(a) === pathOf(b) ? [a.droplet_name, b.droplet_name] : [pathOf(a), pathOf(b)]
  return one < other ? -1 : 1
}

/** The path as a field of records and bodies, which leave it out if it is `/`, as those of earlier versions do. */
export function pathField(route: { readonly path?: string | undefined }): { readonly path?: string } {
  return isMounted(route) ? { path: pathOf(route) } : {}
}
