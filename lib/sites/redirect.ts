/** Redirects: `return` and `rewrite` with a whole URL, alone or under an `if` on the host's name or on the scheme. */
import type { Findings } from './findings.ts'
import type { Located } from './site-files.ts'

export type Scheme = 'http' | 'https'

/** A redirect that keeps the path and the query. */
export interface Redirect {
  readonly at: Located
  readonly status: number
  /** `same`: that of the request. */
  readonly scheme: Scheme | 'same'
  /** `same`: the name of the request. */
  readonly domain: string
  /** Of the URL; `undefined` for the standard one. */
  readonly port: number | undefined
}

/** A redirect under an `if`: for one name, or for one scheme. */
export interface ConditionalRedirect extends Redirect {
  readonly name: string | undefined
  readonly when: Scheme | undefined
}

/** The redirect of a `return` or `rewrite`; `undefined` if it is another answer. `serverName` is the first name of the block. */
export function readRedirect(directive: Located, serverName: string): Redirect | undefined {
  const { status, target } = targetOf(directive)
  const [, scheme, host = '', port] = /^(https?|\$scheme):\/\/([^/:]+?)(?::(\d+))?\$request_uri$/.exec(target) ?? []
  if (status === undefined || scheme === undefined) return undefined
  const domain = /^\$(host|http_host)$/.test(host) ? 'same' : host === '$server_name' ? serverName : host.toLowerCase()
  if (domain.includes('$')) return undefined
  return {
    at: directive,
    status,
    scheme: scheme === '$scheme' ? 'same' : scheme === 'https' ? 'https' : 'http',
    domain,
    port: port === undefined ? undefined : Number(port),
  }
}

/** Reads an `if` of a server block; `undefined` if it is none of the known forms, which was refused then. */
export function readConditional(
  directive: Located,
  serverName: string,
  { refuse }: Pick<Findings, 'refuse'>,
): ConditionalRedirect | undefined {
  const condition = directive.args.join(' ').replace(/^\(\s*|\s*\)$/g, '')
  const [, variable, operator, value = ''] =
    /^\$(host|http_host|scheme) (=|!=) ["']?([\w.-]+)["']?$/.exec(condition) ?? []
  const [only, ...rest] = directive.block ?? []
  const redirect = only === undefined || rest.length > 0 ? undefined : readRedirect(only, serverName)
  const isScheme = variable === 'scheme' && /^https?$/.test(value)
  const isName = variable !== undefined && variable !== 'scheme' && operator === '='
  if (redirect === undefined || !(isScheme || isName)) {
    refuse(directive, 'only an if that redirects one name or one scheme has a route that does the same')
    return undefined
  }
  if (isName) return { ...redirect, name: value.toLowerCase(), when: undefined }
  return { ...redirect, name: undefined, when: (value === 'http') === (operator === '=') ? 'http' : 'https' }
}

const WHOLE_PATH: Readonly<Record<string, string>> = {
  '^(.*)$': '$1',
  '^(.*)': '$1',
  '^/(.*)$': '/$1',
  '^/(.*)': '/$1',
}

function targetOf({ name, args }: Located): { readonly status: number | undefined; readonly target: string } {
  if (name === 'return') {
    const [first = '', second] = args
    if (second === undefined) return { status: /^https?:|^\$scheme:/.test(first) ? 302 : undefined, target: first }
    return { status: /^30[12378]$/.test(first) ? Number(first) : undefined, target: second }
  }
  const [pattern = '', replacement = '', flag] = args
  const status = flag === 'permanent' ? 301 : flag === 'redirect' ? 302 : undefined
  if (name !== 'rewrite') return { status: undefined, target: '' }
  if (/^\^(\(\.\*\))?\$?$/.test(pattern) && replacement.endsWith('$request_uri?'))
    return { status, target: replacement.slice(0, -1) }
  const captured = WHOLE_PATH[pattern]
  if (captured === undefined || !replacement.endsWith(captured)) return { status: undefined, target: '' }
  return { status, target: `${replacement.slice(0, -captured.length)}$request_uri` }
}
