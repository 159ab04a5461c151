/** Schemas that parse the text of an environment variable. Their messages complete the sentence "NAME: …, got VALUE". */
import * as v from 'valibot'
import { canonicalNetwork } from '../net/address.ts'

/** A variable with a default, which is parsed like any other text. */
export function variable<T>(schema: v.GenericSchema<string, T>, help: string, defaultText: string) {
  return v.pipe(v.undefinedable(schema, defaultText), v.description(help), v.metadata({ defaultText }))
}

/** A variable that is `undefined` if it is not set; `defaultText` says what applies then. */
export function optional<T>(schema: v.GenericSchema<string, T>, help: string, defaultText = '') {
  return v.pipe(v.undefinedable(schema), v.description(help), v.metadata({ defaultText }))
}

/** A boolean variable, by default `false`. */
export function flag(help: string, defaultText: 'true' | 'false' = 'false') {
  const word = v.picklist(['true', 'false'], 'expected true or false')
  return variable(
    v.pipe(
      word,
      v.transform((text) => text === 'true'),
    ),
    help,
    defaultText,
  )
}

export function text(pattern: RegExp, expected: string) {
  return v.pipe(v.string(), v.regex(pattern, `expected ${expected}`))
}

export function integer(min: number, max: number) {
  const expected = `an integer from ${min} to ${max}`
  return v.pipe(
    text(/^\d{1,9}$/, expected),
    v.transform(Number),
    v.check((number) => number >= min && number <= max, `expected ${expected}`),
  )
}

export function token(maxLength: number) {
  const expected = `a token of 16 to ${maxLength} printable characters without spaces`
  return text(new RegExp(`^[\\x21-\\x7e]{16,${maxLength}}$`), expected)
}

export function list(isItem: (item: string) => boolean, expected: string) {
  return v.pipe(
    v.string(),
    v.transform((items): readonly string[] => (items === '' ? [] : items.split(',').map((item) => item.trim()))),
    v.check((items) => items.every(isItem), `expected ${expected}`),
  )
}

/** Addresses and networks, each once: a network has its first address, as NGINX wants it. */
export const networks = v.pipe(
  list((item) => canonicalNetwork(item) !== undefined, 'IP addresses or networks such as 10.0.0.0/8, comma-separated'),
  v.transform((items): readonly string[] => [...new Set(items.flatMap((item) => canonicalNetwork(item) ?? []))]),
)

export function choice<const T extends string>(...options: readonly T[]) {
  return v.picklist(options, `expected one of ${options.join(', ')}`)
}

/** Absolute, without characters that NGINX's configuration cannot quote. Slashes at the end are dropped. */
export const path = v.pipe(
  text(/^\/[^\x00-\x1f\x7f$]*$/, 'an absolute path'),
  v.transform((name) => name.replace(/(?<=.)\/+$/, '')),
)

export const httpsUrl = v.pipe(
  text(/^https:\/\/[\x21-\x7e]+$/, 'an https URL'),
  v.check((url) => URL.canParse(url), 'expected an https URL'),
)

const HTTP_URL = 'an http or https URL without credentials'

/** The HTTP client refuses credentials in a URL. */
export const httpUrl = v.pipe(
  text(/^https?:\/\/[\x21-\x7e]+$/, HTTP_URL),
  v.check((text) => {
    const url = URL.parse(text)
    return url !== null && url.username + url.password === ''
  }, `expected ${HTTP_URL}`),
)
const BASE_URL = 'an http or https URL without credentials, query and fragment'

/** The URL to which paths are appended, without a slash at its end. The HTTP client refuses credentials in a URL. */
export const baseUrl = v.pipe(
  text(/^https?:\/\/[\x21-\x7e]+$/, BASE_URL),
  v.check((text) => {
    const url = URL.parse(text)
    return url !== null && !/[?#]/.test(text) && url.username + url.password === ''
  }, `expected ${BASE_URL}`),
  v.transform((url) => url.replace(/\/+$/, '')),
)
