/** Droplet names; a route has the name of its droplet. */
import * as v from 'valibot'

/** A droplet's name, also part of a file name: 1 to 63 lower-case letters and digits, with `_` and `-` inside. */
export const DropletName = v.pipe(
  v.string('must be a string'),
  v.description('Name of the droplet, and of its route'),
  v.regex(
    /^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$/,
    'must be 1 to 63 of a-z, 0-9, "_" and "-", beginning and ending with a letter or digit',
  ),
  v.notValues(['default', '000-default', '000-proxy-manager'], 'is reserved'),
)
export type DropletName = string

/** The droplet name for a domain if the caller passes none; may be no valid one. */
export function nameFromDomain(domain: string): DropletName {
  return domain.replaceAll('.', '-')
}
