/** The routes that serve what the blocks of a site serve: one for each domain and path. */
import { isDeepStrictEqual } from 'node:util'
import type { CertificateChoice } from '../certificates/certificate.ts'
import { normalizeDomain } from '../net/domain.ts'
import { pathField } from '../net/path.ts'
import { nameFromDomain } from '../route/droplet-name.ts'
import { type Findings, findings as noFindings } from './findings.ts'
import type { Redirect, Scheme } from './redirect.ts'
import type { SiteAnswer, SiteServer } from './server.ts'
import type { Located } from './site-files.ts'

/** A route as a PUT takes it, without its name. */
export interface RouteBody extends Readonly<Record<string, unknown>> {
  readonly domain: string
  /** `/` if missing. */
  readonly path?: string
}

export interface SiteRoute {
  readonly droplet_name: string
  readonly body: RouteBody
}

export interface RouteFacts {
  /** The ports at which clients reach this host. */
  readonly publicPorts: Readonly<Record<Scheme, number>>
  readonly certificateOf: SiteCertificate
}

/** What a route with these names has to choose to serve the certificate of a block, if anything; or why it cannot serve it. */
export type SiteCertificate = (
  certificate: Located,
  names: readonly string[],
) => { readonly choice: CertificateChoice | undefined } | { readonly fault: string }

/** What one name gets over both schemes. */
interface NameAnswers {
  readonly name: string
  readonly http: Served | undefined
  readonly https: Served | undefined
}

interface Served {
  readonly server: SiteServer
  readonly answer: SiteAnswer
}

/** Makes the routes of a site; what they do otherwise, or cannot do, is in the findings. */
export function routesOf(servers: readonly SiteServer[], facts: RouteFacts, findings: Findings): readonly SiteRoute[] {
  const names = [...new Set(servers.flatMap((server) => server.names))]
  const answers = names.flatMap((name) => {
    const answered = answersFor(servers, name, findings)
    return answered === undefined ? [] : [answered]
  })
  const groups: NameAnswers[][] = []
  for (const one of answers) {
    const alike = groups.find(([first]) => first !== undefined && isAlike(first, one))
    if (alike === undefined) groups.push([one])
    else alike.push(one)
  }
  return groups.flatMap((group) => routesOfGroup(group, facts, findings))
}

function answersFor(servers: readonly SiteServer[], name: string, findings: Findings): NameAnswers | undefined {
  const owners = servers.filter((server) => server.names.includes(name))
  const [at] = owners
  const normal = normalizeDomain(name)
  if (at === undefined) return undefined
  if (typeof normal !== 'string' || normal !== name) {
    findings.refuse(
      at.at,
      `the name ${name || '""'} ${typeof normal === 'string' ? `is spelled ${normal}` : normal.fault}`,
    )
    return undefined
  }
  const serve = (scheme: Scheme, found: Findings): Served | undefined => {
    const [server, other] = owners.filter(({ schemes }) => schemes.includes(scheme))
    if (other !== undefined) findings.refuse(other.at, `${name} has two blocks for one scheme`)
    const answer = server?.answer(name, scheme, found)
    return server === undefined || answer === undefined ? undefined : { server, answer }
  }
  // With HTTPS, a route does nothing over HTTP but redirect: only that it does so can be a difference.
  const isSecure = owners.some(({ schemes }) => schemes.includes('https'))
  return { name, https: serve('https', findings), http: serve('http', isSecure ? noFindings() : findings) }
}

/** Whether two names can be those of one route: the same blocks answer them alike. */
function isAlike(one: NameAnswers, other: NameAnswers): boolean {
  const same = (a: Served | undefined, b: Served | undefined) =>
    a?.server === b?.server && isDeepStrictEqual(comparable(a, one.name), comparable(b, other.name))
  return same(one.http, other.http) && same(one.https, other.https)
}

function comparable(served: Served | undefined, name: string): unknown {
  if (served === undefined || served.answer.kind === 'proxy') return served?.answer
  const { scheme, domain, status } = served.answer.redirect
  return { scheme, domain: domain === name ? 'same' : domain, status }
}

function routesOfGroup(group: readonly NameAnswers[], facts: RouteFacts, findings: Findings): readonly SiteRoute[] {
  const [first] = group
  if (first === undefined) return []
  const { http, https, name: domain } = first
  const main = https ?? http
  if (main === undefined) return []
  const names = group.map(({ name }) => name)
  const secure = https === undefined ? {} : certificateFields(https.server, names, facts, findings)
  const common = { domain, require_healthy: false, enable_ssl: https !== undefined }
  const aliases = names.length === 1 ? {} : { aliases: names.slice(1) }
  if (main.answer.kind === 'redirect') {
    const target = redirectTarget(first, main.answer.redirect, facts, findings)
    if (target === undefined) return []
    const hsts = main.answer.hsts ? { hsts: true } : {}
    return [
      {
        droplet_name: nameFromDomain(domain),
        body: { ...common, ...secure, options: { ...aliases, ...hsts, redirect_to: target } },
      },
    ]
  }
  if (https !== undefined) judgePlain(first, https.server, facts, findings)
  const { mounts } = main.answer
  if (names.length > 1 && !mounts.some(({ path }) => path === '/'))
    findings.refuse(main.server.at, 'only a route for the path / has several domains')
  return mounts.map((mount) => {
    const ofDomain =
      mount.path === '/' ? { ...aliases, ...(mount.hsts && https !== undefined ? { hsts: true } : {}) } : {}
    return {
      droplet_name: nameFromDomain(domain, pathField(mount).path),
      body: {
        ...common,
        ...(mount.path === '/' ? secure : { path: mount.path }),
        ...mount.fields,
        options: { ...mount.options, ...ofDomain },
      },
    }
  })
}

/** The domain to which a name leads. */
function redirectTarget(
  { name, http, https }: NameAnswers,
  redirect: Redirect,
  facts: RouteFacts,
  findings: Findings,
): string | undefined {
  const domain = redirect.domain === 'same' ? name : redirect.domain
  if (domain === name) {
    findings.refuse(
      redirect.at,
      `${name} leads to ${redirect.scheme} of itself, which is served by no block of this file`,
    )
    return undefined
  }
  judgeLocation(redirect, https === undefined ? 'http' : 'https', facts, findings)
  const plain = https === undefined ? undefined : http?.answer
  if (https === undefined && redirect.scheme === 'https')
    findings.differs(redirect.at, `leads to http://${domain} first: ${name} has no certificate`)
  if (https !== undefined && redirect.scheme === 'http')
    findings.refuse(redirect.at, 'a route with a certificate leads to HTTPS')
  if (https !== undefined && http === undefined)
    findings.differs(https.server.at, `${name} is redirected over HTTP, too`)
  if (plain?.kind === 'redirect' && (plain.redirect.scheme !== 'https' || plain.redirect.domain !== redirect.domain))
    findings.differs(plain.redirect.at, `leads to https://${domain} in one step`)
  if (plain?.kind === 'proxy' && http !== undefined)
    findings.differs(http.server.at, `${name} is redirected over HTTP, too`)
  return domain
}

/** Over HTTP a route with a certificate leads to itself over HTTPS. */
function judgePlain({ name, http }: NameAnswers, secure: SiteServer, facts: RouteFacts, findings: Findings): void {
  const answer = http?.answer
  if (http === undefined || answer?.kind !== 'redirect') {
    findings.differs(http?.server.at ?? secure.at, `${name} is redirected from HTTP to HTTPS`)
    return
  }
  const { redirect } = answer
  judgeLocation(redirect, 'https', facts, findings)
  if (redirect.scheme !== 'https' || (redirect.domain !== 'same' && redirect.domain !== name))
    findings.differs(redirect.at, `leads to https://${name}`)
}

/** Status and port of a redirect; `scheme` is that of the route's. */
function judgeLocation(
  { at, status, port }: Redirect,
  scheme: Scheme,
  { publicPorts }: RouteFacts,
  { differs }: Findings,
): void {
  const own = publicPorts[scheme]
  if ((port ?? STANDARD_PORT[scheme]) !== own) differs(at, `the port of the Location becomes ${own}`)
  if (status === 308) return
  differs(at, status === 301 ? 'the status is 308, which keeps the method' : 'the status is 308: clients remember it')
}

const STANDARD_PORT: Readonly<Record<Scheme, number>> = { http: 80, https: 443 }

function certificateFields(
  { at, certificate }: SiteServer,
  names: readonly string[],
  { certificateOf }: RouteFacts,
  { refuse }: Findings,
): Readonly<Record<string, unknown>> {
  const found =
    certificate === undefined ? { fault: 'HTTPS without a certificate of its own' } : certificateOf(certificate, names)
  if ('fault' in found) refuse(certificate ?? at, found.fault)
  return 'fault' in found || found.choice === undefined ? {} : { certificate: found.choice }
}
