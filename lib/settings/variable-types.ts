/** The kinds of values that settings take. */

/** One environment variable: its rule, its default, and the words for it. */
export interface Variable<T> {
  readonly help: string
  /** What stands there when the variable is not set, in words. */
  readonly fallback: string
  readonly takes: string
  readonly parse: (value: string) => T | undefined
  readonly unset: T
}

// Absolute and without characters that NGINX's configuration has no way to quote.
const PATH = /^\/[^\x00-\x1f\x7f$]*$/

export function integer(help: string, min: number, max: number, unset: number): Variable<number> {
  const parse = (value: string) => {
    const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN
    return number >= min && number <= max ? number : undefined
  }
  return { help, fallback: String(unset), takes: `an integer from ${min} to ${max}`, parse, unset }
}

export function text(help: string, unset: string, takes: string, pattern: RegExp): Variable<string> {
  return { help, fallback: unset, takes, parse: (value) => (pattern.test(value) ? value : undefined), unset }
}

export function optionalText(
  help: string,
  takes: string,
  pattern: RegExp,
  fallback = '',
): Variable<string | undefined> {
  return { help, fallback, takes, parse: (value) => (pattern.test(value) ? value : undefined), unset: undefined }
}

/** A base for paths: what would have to stand behind them, and credentials, which the HTTP client refuses, are no part of it. */
export function optionalUrl(help: string, fallback: string): Variable<string | undefined> {
  const takes = 'an http or https URL without credentials, query and fragment'
  const variable = optionalText(help, takes, /^https?:\/\/[\x21-\x7e]+$/, fallback)
  const isBase = (value: string) => {
    const url = URL.parse(value)
    return url !== null && !/[?#]/.test(value) && url.username + url.password === ''
  }
  return { ...variable, parse: (value) => [value].filter(isBase).map(variable.parse)[0] }
}

/** An address that is handed on as it is. */
export function optionalHttpsUrl(help: string, fallback: string): Variable<string | undefined> {
  const variable = optionalText(help, 'an https URL', /^https:\/\/[\x21-\x7e]+$/, fallback)
  return { ...variable, parse: (value) => (URL.canParse(value) ? variable.parse(value) : undefined) }
}

export function token(help: string, most = 512): Variable<string | undefined> {
  const takes = `a token of 16 to ${most} printable characters without spaces`
  return optionalText(help, takes, new RegExp(`^[\\x21-\\x7e]{16,${most}}$`))
}

export function path(help: string, unset: string): Variable<string> {
  const variable = text(help, unset, 'an absolute path', PATH)
  return { ...variable, parse: (value) => variable.parse(value)?.replace(/(?<=.)\/+$/, '') }
}

export function optionalPath(help: string, fallback: string): Variable<string | undefined> {
  return optionalText(help, 'an absolute path', PATH, fallback)
}

export function boolean(help: string): Variable<boolean> {
  const parse = (value: string) => (value === 'true' ? true : value === 'false' ? false : undefined)
  return { help, fallback: 'false', takes: 'true or false', parse, unset: false }
}

export function list(help: string, fits: (item: string) => boolean, takes: string): Variable<readonly string[]> {
  const parse = (value: string) => {
    const items = value.split(',').map((item) => item.trim())
    return items.every(fits) ? items : undefined
  }
  return { help, fallback: '', takes, parse, unset: [] }
}

export function choice<const T extends string>(help: string, options: readonly T[], unset: NoInfer<T>): Variable<T> {
  const parse = (value: string) => options.find((option) => option === value)
  const takes = options.join(', ')
  return { help: `${help}: ${takes}`, fallback: unset, takes, parse, unset }
}
