/** What a route needs of NGINX that this build lacks. */
import { ProxyManagerError } from '../errors.ts'
import { type ModuleName, OLDEST } from '../nginx/config/build.ts'
import { isAtLeast, type Version } from '../nginx/config/version.ts'
import type { RouteRecord } from '../route/record.ts'
import { hasModule, type RenderContext } from './context.ts'

interface Need {
  /** As the subject of "needs", such as `HTTPS`. */
  readonly feature: string
  readonly modules: readonly ModuleName[]
  /** The first NGINX that has it, if a supported one has not. */
  readonly since?: Version
  /** How to do without it. */
  readonly alternative: string | undefined
}

interface Needing extends Pick<RouteRecord, 'enable_ssl'> {
  readonly options?:
    | Partial<Pick<RouteRecord['options'], 'allow' | 'balance' | 'strip_prefix' | 'upstream_tls_verify'>>
    | undefined
  readonly upstreams?: RouteRecord['upstreams'] | undefined
  readonly upstream_addresses?: readonly string[] | null
}
type Modules = Pick<RenderContext, 'missingModules' | 'nginxVersion'>

const EVERY_ROUTE: Need = { feature: 'every route', modules: ['map', 'proxy', 'rewrite'], alternative: undefined }
const HTTPS: Need = { feature: 'HTTPS', modules: ['ssl', 'v2'], alternative: 'pass "enable_ssl": false' }
const ALLOW: Need = { feature: 'the option allow', modules: ['access'], alternative: 'leave out options.allow' }
const LEAST_CONN: Need = {
  feature: 'least_conn',
  modules: ['upstream_least_conn'],
  alternative: 'leave out options.balance',
}
/** `resolve` in an upstream block (nginx.org/en/CHANGES: 1.27.3). */
const NAMES: Need = {
  feature: 'a name among several upstreams',
  modules: ['upstream_zone'],
  since: [1, 27, 3],
  alternative: 'pass the addresses of the droplets',
}

const STRIPPED: Need = {
  feature: 'strip_prefix, for an upstream whose name NGINX resolves itself,',
  modules: ['upstream_zone'],
  since: [1, 27, 3],
  alternative: "pass the droplet's address, or leave out options.strip_prefix",
}

/** The first need of a route that is not met, as an error for its caller. */
export function unsupported(
  { enable_ssl, options, upstreams = [], upstream_addresses: addresses }: Needing,
  context: Modules & Pick<RenderContext, 'trustedCas'>,
): ProxyManagerError | undefined {
  const needs = [
    EVERY_ROUTE,
    ...(enable_ssl ? [HTTPS] : []),
    ...((options?.allow ?? []).length > 0 ? [ALLOW] : []),
    ...(options?.balance === 'least_conn' && upstreams.length > 0 ? [LEAST_CONN] : []),
    ...(options?.strip_prefix === true && addresses === null ? [STRIPPED] : []),
    ...(upstreams.some(({ addresses }) => addresses === null) ? [NAMES] : []),
  ]
  const unmet = needs.find((need) => isUnmet(need, context))
  if (unmet !== undefined) {
    const remedy = [`install an NGINX that has it, such as ${unmet.since === undefined ? "Debian's" : "nginx.org's"}`]
    const ways = [...remedy, unmet.alternative].filter((way) => way !== undefined)
    return new ProxyManagerError('NGINX_UNSUPPORTED', {
      message: sentence(unmet, context),
      details: { remedy: capitalize(ways.join(', or ')) },
    })
  }
  if (options?.upstream_tls_verify !== true || context.trustedCas !== undefined) return undefined
  return new ProxyManagerError('NGINX_UNSUPPORTED', {
    message: 'This host has no file of trusted CAs, which upstream_tls_verify needs',
    details: { remedy: 'Install the package ca-certificates, or leave out options.upstream_tls_verify' },
  })
}

/** The unmet needs of any route, as sentences for health: those of every route, those of HTTPS, those of an option. */
export function lackingFeatures(
  context: Modules,
): Readonly<Record<'everyRoute' | 'https' | 'options', readonly string[]>> {
  const lacking = (need: Need) => (missingOf(need, context).length === 0 ? [] : [sentence(need, context)])
  return {
    everyRoute: lacking(EVERY_ROUTE),
    https: lacking(HTTPS),
    options: [ALLOW, LEAST_CONN].flatMap(lacking),
  }
}

function isUnmet(need: Need, context: Modules): boolean {
  return missingOf(need, context).length > 0 || !isAtLeast(context.nginxVersion, need.since ?? OLDEST)
}

function missingOf({ modules }: Need, context: Modules): readonly string[] {
  return modules.filter((name) => !hasModule(context, name)).map((name) => `ngx_http_${name}_module`)
}

function sentence(need: Need, context: Modules): string {
  const missing = missingOf(need, context).join(', ')
  return missing === ''
    ? `This NGINX is older than ${need.since?.join('.')}, which ${need.feature} needs`
    : `This NGINX was built without ${missing}, which ${need.feature} needs`
}

function capitalize(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}
