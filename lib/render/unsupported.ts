/** What a route needs of NGINX that this build lacks. */
import { ProxyManagerError } from '../errors.ts'
import type { ModuleName } from '../nginx/config/build.ts'
import type { RouteRecord } from '../route/record.ts'
import { hasModule, type RenderContext } from './context.ts'

interface Need {
  /** As the subject of "needs", such as `HTTPS`. */
  readonly feature: string
  readonly modules: readonly ModuleName[]
  /** How to do without it. */
  readonly alternative: string | undefined
}

type Needing = Pick<RouteRecord, 'enable_ssl'> & { readonly options?: Partial<Pick<RouteRecord['options'], 'allow'>> }
type Modules = Pick<RenderContext, 'missingModules'>

const EVERY_ROUTE: Need = { feature: 'every route', modules: ['map', 'proxy', 'rewrite'], alternative: undefined }
const HTTPS: Need = { feature: 'HTTPS', modules: ['ssl', 'v2'], alternative: 'pass "enable_ssl": false' }
const ALLOW: Need = { feature: 'the option allow', modules: ['access'], alternative: 'leave out options.allow' }

/** The first need of a route that is not met, as an error for its caller. */
export function unsupported({ enable_ssl, options }: Needing, context: Modules): ProxyManagerError | undefined {
  const needs = [EVERY_ROUTE, ...(enable_ssl ? [HTTPS] : []), ...((options?.allow ?? []).length > 0 ? [ALLOW] : [])]
  const unmet = needs.find((need) => missingOf(need, context).length > 0)
  if (unmet === undefined) return undefined
  const remedy = [`install an NGINX that has it, such as Debian's`, unmet.alternative].filter(
    (way) => way !== undefined,
  )
  return new ProxyManagerError('NGINX_UNSUPPORTED', {
    message: sentence(unmet, context),
    details: { remedy: capitalize(remedy.join(', or ')) },
  })
}

/** The unmet needs of any route, as sentences for health: those of every route, those of HTTPS, those of an option. */
export function lackingFeatures(
  context: Modules,
): Readonly<Record<'everyRoute' | 'https' | 'options', readonly string[]>> {
  const lacking = (need: Need) => (missingOf(need, context).length === 0 ? [] : [sentence(need, context)])
  return { everyRoute: lacking(EVERY_ROUTE), https: lacking(HTTPS), options: lacking(ALLOW) }
}

function missingOf({ modules }: Need, context: Modules): readonly string[] {
  return modules.filter((name) => !hasModule(context, name)).map((name) => `ngx_http_${name}_module`)
}

function sentence(need: Need, context: Modules): string {
  return `This NGINX was built without ${missingOf(need, context).join(', ')}, which ${need.feature} needs`
}

function capitalize(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}
