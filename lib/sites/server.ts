/** A server block of a site: the names and schemes that it serves, and what it answers for each of them. */
import { isDeepStrictEqual } from 'node:util'
import { type Listen, readListen } from '../nginx/config/listen.ts'
import { judgeDirective } from './directives.ts'
import type { Findings } from './findings.ts'
import { type Mount, READ_FROM_SERVER, readHsts, readMount, type SiteFacts } from './location.ts'
import { type ConditionalRedirect, type Redirect, readConditional, readRedirect, type Scheme } from './redirect.ts'
import type { Located } from './site-files.ts'

export interface PortFacts extends SiteFacts {
  readonly ports: Readonly<Record<Scheme, number>>
}

/** What a name of a block gets. */
export type SiteAnswer =
  | { readonly kind: 'redirect'; readonly redirect: Redirect; readonly hsts: boolean }
  | { readonly kind: 'proxy'; readonly mounts: readonly Mount[] }

export interface SiteServer {
  readonly at: Located
  readonly names: readonly string[]
  readonly listens: readonly Listen[]
  readonly schemes: readonly Scheme[]
  /** The argument of `ssl_certificate`. */
  readonly certificate: Located | undefined
  /** `undefined` if it was refused, which is in these findings. */
  answer(name: string, scheme: Scheme, findings: Findings): SiteAnswer | undefined
}

const CHALLENGE = '/.well-known/acme-challenge'
const STRUCTURE = new Set(['server_name', 'listen', 'location', 'return', 'rewrite', 'if', 'set'])
const CERTIFICATE = new Set(['ssl_certificate', 'ssl_certificate_key'])

/** Reads a block; what a route cannot do is in the findings. */
export function readServer(block: Located, facts: PortFacts, findings: Findings): SiteServer {
  const at = withConstants(block, findings)
  const own = at.block ?? []
  const listed = own.filter(({ name }) => name === 'listen')
  const listens =
    listed.length === 0 ? [{ address: '*', port: 80, options: [] }] : listed.flatMap(({ args }) => readListen(args))
  const isOldTls = own.some(({ name, args }) => name === 'ssl' && args[0] === 'on')
  for (const directive of listed) judgeListen(directive, isOldTls, facts, findings)
  const schemes = (['http', 'https'] as const).filter((scheme) =>
    listens.some(({ port }) => port === facts.ports[scheme]),
  )
  const names = own
    .filter(({ name }) => name === 'server_name')
    .flatMap(({ args }) => args.map((name) => name.toLowerCase()))
  const [serverName = ''] = names
  const conditionals = own.flatMap((directive) => {
    const read = directive.name === 'if' ? readConditional(directive, serverName, findings) : undefined
    return read === undefined ? [] : [read]
  })
  const [, second] = own.filter(({ name }) => name === 'ssl_certificate')
  if (second !== undefined) findings.refuse(second, 'a route has one certificate')
  for (const directive of own)
    if (![STRUCTURE, CERTIFICATE, READ_FROM_SERVER].some((known) => known.has(directive.name)))
      judgeDirective(directive, facts.http, findings)
  return {
    at,
    names,
    listens,
    schemes,
    certificate: own.find(({ name }) => name === 'ssl_certificate'),
    answer: (name, scheme, answered) => answerOf({ at, own, serverName, conditionals, facts }, name, scheme, answered),
  }
}

interface AnswerFacts {
  readonly at: Located
  readonly own: readonly Located[]
  readonly serverName: string
  readonly conditionals: readonly ConditionalRedirect[]
  readonly facts: PortFacts
}

function answerOf(
  { at, own, serverName, conditionals, facts }: AnswerFacts,
  name: string,
  scheme: Scheme,
  findings: Findings,
): SiteAnswer | undefined {
  const conditional = conditionals.find(
    (one) => (one.name === undefined || one.name === name) && (one.when === undefined || one.when === scheme),
  )
  const redirected = (redirect: Redirect): SiteAnswer => {
    const hsts = scheme === 'https' && readHsts([own, facts.http], findings)
    return { kind: 'redirect', redirect, hsts }
  }
  if (conditional !== undefined) return redirected(conditional)
  const early = own.find((one) => one.name === 'return' || one.name === 'rewrite')
  const root = own.find((one) => one.name === 'location' && one.args.join(' ') === '/')
  const returned = early ?? root?.block?.find((one) => one.name === 'return')
  if (returned !== undefined) {
    const redirect = readRedirect(returned, serverName)
    if (redirect !== undefined) return redirected(redirect)
    if (early !== undefined || !isNotFound(returned)) {
      findings.refuse(
        returned,
        'only a redirect of every path to the same path of a domain has a route that does the same',
      )
      return undefined
    }
  }
  return { kind: 'proxy', mounts: readMounts({ at, own, serverName, facts }, scheme, findings) }
}

/** The locations of a block, as routes; a path that is there as `= /x` and as `/x/` is one. */
function readMounts(
  { at, own, serverName, facts }: Omit<AnswerFacts, 'conditionals'>,
  scheme: Scheme,
  findings: Findings,
): readonly Mount[] {
  const mounts: Mount[] = []
  const exact = new Map<string, { readonly location: Located; readonly mount: Mount }>()
  const read = (location: Located, prefix: string) =>
    readMount(location, prefix, { ...facts, server: own, serverName, scheme }, findings)
  for (const location of own.filter(({ name }) => name === 'location')) {
    const { modifier, path } = readPath(location.args)
    if (path.startsWith(CHALLENGE)) {
      findings.differs(
        location,
        'the files of the ACME challenge are those of Proxy Manager: a certbot with another webroot no longer renews',
      )
    } else if (modifier === '=') {
      const mount = read(location, path)
      if (mount !== undefined) exact.set(path, { location, mount })
    } else if ((modifier === '' || modifier === '^~') && path.startsWith('/')) {
      if (isNotFoundOnly(location) && path === '/') continue
      const mount = read(location, path)
      if (mount !== undefined) mounts.push(mount)
      if (path !== '/' && !path.endsWith('/'))
        findings.differs(location, `takes ${path} and what is below it, but no longer ${path}x`)
    } else findings.refuse(location, 'a route has a path, not a regular expression or a name')
  }
  joinExact(own, mounts, exact, findings)
  if (!own.some(({ name, args }) => name === 'location' && args.join(' ') === '/'))
    findings.differs(at, 'paths without a location are answered 404')
  if (mounts.length === 0) findings.refuse(at, 'it proxies nothing')
  return mounts
}

/** `= /x` beside `/x/` is what a route with that path is; alone, a route would take more than it. */
function joinExact(
  own: readonly Located[],
  mounts: readonly Mount[],
  exact: ReadonlyMap<string, { readonly location: Located; readonly mount: Mount }>,
  { differs, refuse }: Findings,
): void {
  for (const [path, { location, mount }] of exact) {
    const prefix = mounts.find((one) => one.path === path)
    if (prefix === undefined || !isDeepStrictEqual(mount, prefix))
      refuse(location, 'a route takes what is below its path, too')
  }
  for (const location of own.filter(({ name }) => name === 'location')) {
    const { modifier, path } = readPath(location.args)
    if (path.startsWith(CHALLENGE)) continue
    if (modifier !== '=' && path !== '/' && path.endsWith('/') && !exact.has(path.slice(0, -1)))
      differs(location, `${path.slice(0, -1)} is passed to the upstream, and no longer answered 301 to ${path}`)
  }
}

function readPath(args: readonly string[]): { readonly modifier: string; readonly path: string } {
  const [, modifier = '', path = ''] = /^(=|\^~|~\*|~|@)?\s*(.*)$/.exec(args.join(' ')) ?? []
  return { modifier, path }
}

function isNotFound({ name, args }: Located): boolean {
  return name === 'return' && args.length === 1 && args[0] === '404'
}

function isNotFoundOnly({ block = [] }: Located): boolean {
  return block.length === 1 && block.every(isNotFound)
}

/** A `listen` that a route does not have. */
function judgeListen(directive: Located, isOldTls: boolean, { ports }: PortFacts, { differs, refuse }: Findings): void {
  const [endpoint = '', ...options] = directive.args
  const [first] = readListen(directive.args)
  const isTls = isOldTls || options.includes('ssl')
  if (endpoint.startsWith('unix:') || options.includes('quic') || first === undefined) {
    refuse(directive, 'routes listen on TCP ports')
  } else if (first.port !== ports[isTls ? 'https' : 'http']) {
    refuse(directive, `routes listen on port ${ports.http} for HTTP and on port ${ports.https} for HTTPS`)
  }
  for (const option of options) {
    if (/^default(_server)?$/.test(option))
      differs(directive, 'requests for unknown names get the catch-all of Proxy Manager')
    else if (/^(reuseport|proxy_protocol|ipv6only=off)$/.test(option)) refuse(directive, `${option} has no option`)
    else if (!/^(ssl|http2|spdy|ipv6only=on)$/.test(option)) differs(directive, `${option} is not set by a route`)
  }
}

/** The block with the values of its `set` directives in place of their variables, as far as they are fixed. */
function withConstants(block: Located, { refuse }: Findings): Located {
  const sets = (block.block ?? []).filter(({ name }) => name === 'set')
  const constants = new Map<string, string>()
  for (const directive of sets) {
    const [variable = '', value = ''] = directive.args
    const isOnce = sets.filter(({ args }) => args[0] === variable).length === 1
    if (isOnce && !value.includes('$')) constants.set(variable, value)
    else refuse(directive, 'only a variable with one fixed value has a route that does the same')
  }
  const replaced = (text: string) =>
    text.replace(/\$\{?(\w+)\}?/g, (found, name: string) => constants.get(`$${name}`) ?? found)
  const replace = (directive: Located): Located => ({
    ...directive,
    args: directive.name === 'set' ? directive.args : directive.args.map(replaced),
    ...(directive.block === undefined ? {} : { block: directive.block.map(replace) }),
  })
  return constants.size === 0 ? block : replace(block)
}
