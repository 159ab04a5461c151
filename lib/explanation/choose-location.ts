/** Which location of a server block gets a path, by the rules of `location` (ngx_http_core_module, ngx_http_core_find_location). Pure. */
import { matchesPattern } from './patterns.ts'
import type { PlacedDirective } from './server-blocks.ts'

export interface ChosenLocation {
  readonly at: PlacedDirective
  /** Such as `^~ /api/`. */
  readonly match: string
  /** NGINX answers with a redirect to the same path with a slash by itself. */
  readonly isSlashAdded: boolean
}

export interface LocationChoice {
  readonly chosen: ChosenLocation | undefined
  /** Locations with a regular expression that was not tried, and that would have had its turn. */
  readonly untried: readonly PlacedDirective[]
}

interface Location {
  readonly at: PlacedDirective
  readonly modifier: string
  readonly path: string
}

interface Found {
  readonly location: Location
  /** No regular expression of an outer level is tried any more. */
  readonly isFinal: boolean
  readonly isSlashAdded: boolean
}

const PASSES = /^(proxy|fastcgi|uwsgi|scgi|grpc|memcached)_pass$/

/** The location among these directives of a server block for a normalized path. */
export function chooseLocation(directives: readonly PlacedDirective[], path: string): LocationChoice {
  const untried: PlacedDirective[] = []
  const found = find(directives, path, untried)
  if (found === undefined) return { chosen: undefined, untried }
  const { location, isSlashAdded } = found
  const match = [location.modifier, location.path].filter((part) => part !== '').join(' ')
  return { chosen: { at: location.at, match, isSlashAdded }, untried }
}

function find(directives: readonly PlacedDirective[], path: string, untried: PlacedDirective[]): Found | undefined {
  const locations = directives.filter(({ name }) => name === 'location').map(readLocation)
  const exact = locations.find((one) => one.modifier === '=' && one.path === path)
  if (exact !== undefined) return { location: exact, isFinal: true, isSlashAdded: false }
  const prefixes = locations.filter(({ modifier }) => modifier === '' || modifier === '^~')
  const longest = prefixes
    .filter((one) => path.startsWith(one.path))
    .reduce<Location | undefined>((a, b) => (a === undefined || b.path.length > a.path.length ? b : a), undefined)
  const slashed = locations.filter((one) => one.path === `${path}/` && ['', '=', '^~'].includes(one.modifier))
  if (longest?.path !== path && slashed.some(({ at }) => at.block?.some(({ name }) => PASSES.test(name)))) {
    const location = slashed.find(({ modifier }) => modifier === '=') ?? slashed[0]
    if (location !== undefined) return { location, isFinal: true, isSlashAdded: true }
  }
  const nested = longest && find(longest.at.block ?? [], path, untried)
  if (nested?.isFinal === true) return nested
  for (const location of longest?.modifier === '^~' ? [] : locations) {
    if (!location.modifier.startsWith('~')) continue
    const matches = matchesPattern(location.path, location.modifier === '~*', path)
    if (matches === undefined) untried.push(location.at)
    if (matches !== true) continue
    const inner = find(location.at.block ?? [], path, untried)
    return { ...(inner ?? { location, isSlashAdded: false }), isFinal: true }
  }
  return nested ?? (longest && { location: longest, isFinal: false, isSlashAdded: false })
}

/** `location ~ x` and `location ~x` are the same. */
function readLocation(at: PlacedDirective): Location {
  const [first = '', second] = at.args
  if (second !== undefined) return { at, modifier: first, path: second }
  const [, modifier = '', path = ''] = /^(=|\^~|~\*|~|@)?(.*)$/s.exec(first) ?? []
  return { at, modifier, path }
}
