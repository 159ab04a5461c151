/** Domain names: one spelling each, and nothing that NGINX, certbot or a CA would read as more than a name. */
import { domainToUnicode } from 'node:url'
import * as v from 'valibot'

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const RESERVED_ENDINGS = ['localhost', 'invalid', 'onion', 'arpa']
/** Code points of a Unicode host name: letters, marks, digits, the hyphen, and the dot; nothing that maps to another character class. */
const UNICODE_NAME = /^[\p{L}\p{M}\p{Nd}.-]+$/u

/**
 * Normalizes a DNS name to the one spelling in which it is compared and rendered: lower case, A-labels, no trailing dot.
 * Unicode is converted by UTS 46 as in the WHATWG URL standard. Returns `{ fault }`, what is wrong with it, otherwise.
 */
export function normalizeDomain(input: string): string | { readonly fault: string } {
  if (input.length > 1000) return { fault: 'must be a DNS name of at most 253 characters' }
  const undotted = input.endsWith('.') ? input.slice(0, -1) : input
  let name = undotted.toLowerCase()
  if (/[^\x00-\x7f]/.test(undotted)) {
    if (!UNICODE_NAME.test(undotted)) return { fault: 'contains characters that no domain name has' }
    const ascii = toAscii(undotted)
    if (ascii === undefined) return { fault: 'is not a valid internationalized domain name' }
    const labels = ascii.split('.')
    const given = undotted.split('.')
    const mapped = given.some((label, i) => /[^\x00-\x7f]/.test(label) && !labels[i]?.startsWith('xn--'))
    if (mapped || labels.length !== given.length) return { fault: 'is converted to a plain ASCII name: use that one' }
    name = ascii
  }
  if (name.length > 253) return { fault: 'must be at most 253 characters long' }
  const labels = name.split('.')
  if (labels.length < 2) return { fault: 'must have at least two labels, such as app.example.com' }
  if (!labels.every((label) => LABEL.test(label))) {
    return {
      fault:
        'must be a DNS name: labels of 1 to 63 letters, digits and inner hyphens; no wildcard, port, scheme or path',
    }
  }
  const last = labels.at(-1) ?? ''
  if (!/^([a-z]+|xn--[a-z0-9-]+)$/.test(last))
    return { fault: 'must end in a top-level domain of letters; IP addresses are not allowed' }
  if (RESERVED_ENDINGS.includes(last)) return { fault: `must not end in .${last}` }
  if (!hasValidALabels(name)) return { fault: 'contains an invalid xn-- label' }
  return name
}

/** The schema of a domain, normalized by {@link normalizeDomain}. */
export function domainFor(description: string) {
  return v.pipe(
    v.string('must be a string'),
    v.description(description),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const name = normalizeDomain(dataset.value)
      if (typeof name === 'string') return name
      addIssue({ message: name.fault })
      return NEVER
    }),
  )
}

/** A domain that a route serves. */
export const Domain = domainFor(
  'DNS name that the route serves, such as app.example.com; Unicode and upper case are converted',
)

/** Node's parser does not check ASCII names, so each `xn--` label is decoded, and must be the same when encoded again (RFC 5891, 5.4). */
function hasValidALabels(name: string): boolean {
  if (!name.includes('xn--')) return true
  const unicode = domainToUnicode(name)
  const isDecoded = unicode.split('.').every((label) => !label.startsWith('xn--'))
  return isDecoded && toAscii(unicode) === name
}

function toAscii(name: string): string | undefined {
  try {
    return new URL(`http://${name}/`).hostname
  } catch {
    return undefined
  }
}
