/** The headers that a route sets or removes in the requests to its upstream. */
import * as v from 'valibot'

/**
 * A token (RFC 9110, 5.6.2) with a letter, without the characters that NGINX's syntax knows. An underscore is sent as it is; from clients, NGINX drops headers
 * with one unless its host has `underscores_in_headers`.
 */
const NAME = /^(?=.*[A-Za-z])[A-Za-z0-9!#%&*+.^_|~-]{1,64}$/
/** Printable ASCII; no variable, no quotes, no escapes, and no space at either end (RFC 9110, 5.5). */
const VALUE = /^(?! )[^$"'\\\x00-\x1f\x7f-\uffff]{1,1024}(?<! )$/

/** Set by every route, or for one connection only (RFC 9110, 7.6.1), or they delimit the message. */
const RESERVED: ReadonlySet<string> = new Set([
  ...['host', 'x-real-ip', 'forwarded', 'proxy'],
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'],
  ...['proxy-authenticate', 'proxy-authorization', 'http2-settings', 'content-length', 'expect'],
])

/** Keys of JavaScript's own objects, which valibot leaves out of a record without an issue. */
export const UNUSABLE_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

const MAX_HEADERS = 32

/** Names as programs in the manner of CGI see them: they make one of `X-Name` and `X_Name` (RFC 3875, 4.1.18). */
function folded(name: string): string {
  return name.toLowerCase().replaceAll('_', '-')
}

function isReserved(name: string): boolean {
  const own = folded(name)
  return RESERVED.has(own) || own.startsWith('x-forwarded-')
}

/** Name to text, or to null if the header of a client must not pass. */
export const RequestHeaders = v.pipe(
  v.record(
    v.pipe(
      v.string(),
      v.regex(NAME, 'must be the name of a header'),
      v.check((name) => !isReserved(name), 'is set by NGINX, or is for one connection only'),
    ),
    v.nullable(
      v.pipe(
        v.string('must be a text, or null to remove the header'),
        v.regex(VALUE, 'must be 1 to 1024 printable ASCII characters without $, quotes and backslashes'),
      ),
    ),
    'must be a JSON object',
  ),
  v.description(
    'Headers of the requests to the upstream: name to text, or to null to remove it. They are shown to readers of the API',
  ),
  v.check((headers) => Object.keys(headers).length <= MAX_HEADERS, `must be at most ${MAX_HEADERS} headers`),
  v.check((headers) => {
    const names = Object.keys(headers).map(folded)
    return new Set(names).size === names.length
  }, 'must not have a header twice: upper and lower case, "-" and "_" are the same'),
)
