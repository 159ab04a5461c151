/** What NGINX has to answer according to its configuration, and whether it does. Pure. */
import type { AskedUrl } from './asked-url.ts'
import type { ChosenLocation } from './choose-location.ts'
import { argumentsOf, type ServerBlock } from './server-blocks.ts'

export interface Expected {
  /** `closed`: without an answer; `rejected`: the TLS handshake is. */
  readonly kind: 'closed' | 'rejected' | 'answer'
  /** If they are known. */
  readonly status?: number
  readonly location?: string
}

/** What NGINX did on one connection; `failure` is the name of an errno, `TIMEOUT`, or the code of an error. */
export interface Seen {
  readonly status: number | null
  readonly location: string | null
  readonly certificate_fingerprint: string | null
  readonly failure: string | null
}

/** What the configuration says; `undefined` if it depends on an `if` or a `rewrite`. */
export function expectedOf(
  block: ServerBlock,
  location: ChosenLocation | undefined,
  url: AskedUrl,
): Expected | undefined {
  if (url.scheme === 'https' && rejectsHandshake(block)) return { kind: 'rejected' }
  const [serverName = ''] = block.names
  for (const directives of [block.directives, location?.at.block ?? []]) {
    // NGINX evaluates these in their order (ngx_http_rewrite_module).
    const first = directives.find(({ name }) => ['if', 'rewrite', 'return'].includes(name))
    if (first?.name === 'return') return returned(first.args, url, serverName, hasErrorPages(block, location))
    if (first !== undefined) return undefined
    if (directives === block.directives && location?.isSlashAdded === true) return { kind: 'answer', status: 301 }
  }
  return { kind: 'answer' }
}

/** Of NGINX 1.19.4 and later. */
export function rejectsHandshake({ directives }: ServerBlock): boolean {
  return argumentsOf(directives, 'ssl_reject_handshake').some(([value]) => value === 'on')
}

function hasErrorPages({ directives, http }: ServerBlock, location: ChosenLocation | undefined): boolean {
  return [http, directives, location?.at.block ?? []].some((level) => argumentsOf(level, 'error_page').length > 0)
}

function returned(args: readonly string[], url: AskedUrl, serverName: string, isReplaced: boolean): Expected {
  const [first = '', second] = args
  const isCode = /^\d+$/.test(first)
  const status = isCode ? Number(first) : 302
  if (status === 444) return { kind: 'closed' }
  if (status >= 300 && isReplaced) return { kind: 'answer' }
  const target = isCode ? second : first
  const isRedirect = [301, 302, 303, 307, 308].includes(status)
  const location = isRedirect && target !== undefined ? expand(target, url, serverName) : undefined
  return { kind: 'answer', status, ...(location === undefined ? {} : { location }) }
}

/** The text with the values of its variables; `undefined` if it has others, or is no absolute URL. */
function expand(text: string, url: AskedUrl, serverName: string): string | undefined {
  const values: Readonly<Record<string, string>> = {
    scheme: url.scheme,
    host: url.host,
    http_host: url.authority,
    request_uri: url.target,
    server_name: serverName,
  }
  let isKnown = true
  const expanded = text.replace(/\$\{?(\w+)\}?/g, (_, name: string) => {
    isKnown &&= values[name] !== undefined
    return values[name] ?? ''
  })
  return isKnown && /^https?:/.test(expanded) ? expanded : undefined
}

/**
 * The difference between what was expected and what was seen, as a sentence; null if there is none. `fingerprints` are those of the certificates
 * that the block presents; `undefined` if they could not be read.
 */
export function differenceOf(
  expected: Expected | undefined,
  fingerprints: readonly string[] | undefined,
  seen: Seen,
): string | null {
  const { status, location, certificate_fingerprint: fingerprint, failure } = seen
  if (expected?.kind === 'rejected')
    return failure === null ? 'expected that the TLS handshake is rejected, and it was completed.' : refusal(failure)
  if (fingerprint !== null && fingerprints !== undefined && !fingerprints.includes(fingerprint))
    return `expected the certificate ${fingerprints.map(shortened).join(' or ') || '(none)'}, and got ${shortened(fingerprint)}.`
  if (expected === undefined) return null
  if (expected.kind === 'closed')
    return failure === null
      ? `expected that the connection is closed without an answer, and got ${status}.`
      : refusal(failure)
  if (failure !== null) return `expected an answer, and ${ending(failure)}.`
  if (expected.status !== undefined && status !== expected.status)
    return `expected ${expected.status}, and got ${status}.`
  if (expected.location !== undefined && location !== expected.location)
    return `expected a redirect to ${expected.location}, and got one to ${location ?? 'nowhere'}.`
  return null
}

/** A connection that NGINX ends must have been accepted. */
function refusal(failure: string): string | null {
  return failure === 'ECONNREFUSED' ? `expected that NGINX accepts the connection, and ${ending(failure)}.` : null
}

function shortened(fingerprint: string): string {
  return `${fingerprint.slice(0, 16)}…`
}

/** How a connection ended, as a part of a sentence. */
export function ending(failure: string): string {
  if (failure === 'ECONNREFUSED') return 'the connection was refused: NGINX is not running, or does not listen there'
  if (failure === 'TIMEOUT') return 'there was none in time'
  if (/SSL|TLS/.test(failure)) return `the TLS handshake was rejected (${failure})`
  return `the connection was closed without an answer (${failure})`
}
