/** The bodies of PUT and POST /proxies, and the route that they specify. */

import * as v from 'valibot'
import { CertificateChoice } from '../certificates/certificate.ts'
import { Domain } from '../net/domain.ts'
import { isMounted, pathField, ROOT, RoutePath } from '../net/path.ts'
import { UpstreamEntries, type UpstreamEntry, UpstreamHost, UpstreamPort, UpstreamUrl } from '../upstream/upstream.ts'
import { DropletName, nameFromDomain } from './droplet-name.ts'
import { ProxyOptions } from './options.ts'
import { RouteSource } from './record.ts'

const flag = (help: string) => v.optional(v.pipe(v.boolean('must be true or false'), v.description(help)), true)

/** The fields of a body. */
export const bodyEntries = {
  domain: Domain,
  path: v.optional(RoutePath, ROOT),
  upstream_host: v.optional(UpstreamHost),
  upstream_port: v.optional(UpstreamPort),
  upstream: v.optional(UpstreamUrl),
  upstreams: v.optional(UpstreamEntries, []),
  require_healthy: v.optional(
    v.pipe(
      v.union([v.boolean(), v.literal('any')], 'must be true, false or "any"'),
      v.description(
        'Check the upstream first, and refuse the route (422) if it is not healthy; of several, each that is not a backup, or with "any" one',
      ),
    ),
    true,
  ),
  enable_ssl: flag('Serve the domain over HTTPS; only over HTTP (202) until it has a certificate'),
  certificate: v.optional(
    v.pipe(
      v.nullable(CertificateChoice),
      v.description(
        'A lineage of certbot or an uploaded certificate to serve; null: the one of its own, else a lineage that covers all of its names, else none until one is ordered',
      ),
    ),
    null,
  ),
  options: v.optional(ProxyOptions, {}),
}

type Body = v.InferOutput<v.ObjectSchema<typeof bodyEntries, undefined>>

/** The route that a caller requests, parsed. */
export interface ProxySpec {
  readonly domain: string
  /** Absent if it is `/`. */
  readonly path?: string
  /** Null, like the port, if the route only redirects and has no upstream. */
  readonly upstream_host: string | null
  readonly upstream_port: number | null
  /** All of them, if there are several; host and port are then those of the first that is not a backup. */
  readonly upstreams?: readonly UpstreamEntry[]
  readonly require_healthy: boolean | 'any'
  readonly enable_ssl: boolean
  /** The certificate that the caller has chosen; absent if it is left to us. */
  readonly certificate_from?: CertificateChoice | undefined
  /** The defaults if absent. */
  readonly options?: ProxyOptions
}

/** A route as a PUT specifies it. */
export const PutProxyBody = v.pipe(
  v.strictObject(bodyEntries, objectMessage),
  v.rawCheck(({ dataset, addIssue }) => {
    checkBody(dataset.value, addIssue)
    if (dataset.typed) checkTogether(dataset.value, addIssue)
  }),
  v.transform(toSpec),
)

/** The body of `POST /proxies`: the same with `droplet_name`, by default made from the domain and the path (`a.example.com` becomes `a-example-com`). */
export const CreateProxyBody = v.pipe(
  v.strictObject({ droplet_name: v.optional(DropletName), ...bodyEntries }, objectMessage),
  v.rawCheck(({ dataset, addIssue }) => {
    checkBody(dataset.value, addIssue)
    if (dataset.typed) checkTogether(dataset.value, addIssue)
    if (dataset.typed && dataset.value.droplet_name === undefined && !v.is(DropletName, defaultName(dataset.value))) {
      addIssue({ message: 'no droplet name can be made from this domain: pass droplet_name' })
    }
  }),
  v.transform((body) => ({ droplet_name: body.droplet_name ?? defaultName(body), ...toSpec(body) })),
)

/** A route in a document of all routes: the same with its name, and with who manages it. */
export const ExportedRoute = v.pipe(
  v.strictObject(
    {
      droplet_name: DropletName,
      source: v.optional(
        v.pipe(RouteSource, v.description('registry: syncs with the Registry continue to manage the route')),
        'api',
      ),
      ...bodyEntries,
    },
    objectMessage,
  ),
  v.rawCheck(({ dataset, addIssue }) => {
    checkBody(dataset.value, addIssue)
    if (dataset.typed) checkTogether(dataset.value, addIssue)
  }),
  v.transform(({ droplet_name, source, ...body }) => ({ droplet_name, source, ...toSpec(body) })),
)

function defaultName(body: Pick<Body, 'domain' | 'path'>): DropletName {
  return nameFromDomain(body.domain, pathField(body).path)
}

/** Checks across fields. Runs besides the checks of single fields, so that a caller gets all issues at once: `body` may be partly invalid. */
export function checkBody(body: unknown, addIssue: AddIssue): void {
  if (!isPartialBody(body)) return
  const options = isPartialOptions(body.options) ? body.options : {}
  const hasUpstreams = Array.isArray(body.upstreams) ? body.upstreams.length > 0 : body.upstreams !== undefined
  if (body.upstream == null && !hasUpstreams) {
    const isNeeded = options.redirect_to === undefined || options.redirect_to === null || body.upstream_host != null
    if (body.upstream_port == null && isNeeded)
      addIssue({ message: 'is required (or upstream as http://host:port)', path: keyPath(body, 'upstream_port') })
  }
  const { aliases = [], redirect_to: target } = options
  const pathOf = (option: string): Path => [...keyPath(body, 'options'), ...keyPath(options, option)]
  checkPath(body, options, pathOf, addIssue)
  if (!Array.isArray(aliases)) return
  if (aliases.includes(body.domain))
    addIssue({ message: 'must not contain the domain itself', path: pathOf('aliases') })
  if (typeof target === 'string' && [body.domain, ...aliases].includes(target))
    addIssue({ message: 'must not be a domain of this route', path: pathOf('redirect_to') })
}

/** What only a route with a path may have, or only one without. */
function checkPath(
  body: Partial<Record<keyof Body, unknown>>,
  options: Partial<Record<keyof ProxyOptions, unknown>>,
  pathOf: (option: string) => Path,
  addIssue: AddIssue,
): void {
  const isMount = typeof body.path === 'string' && isMounted({ path: body.path })
  const isStripped = options.strip_prefix === true
  if (isStripped && !isMount) addIssue({ message: 'needs a path to strip: pass path', path: pathOf('strip_prefix') })
  // NGINX passes such a request to a named location, which can send no path of its own (ngx_http_proxy_module, proxy_pass).
  if (isStripped && options.failover === 'connect_only')
    addIssue({ message: 'cannot be combined with failover connect_only', path: pathOf('strip_prefix') })
  if (!isMount) return
  for (const option of OF_DOMAIN.filter((name) => isSet(options[name])))
    addIssue({ message: OF_DOMAIN_MESSAGE, path: pathOf(option) })
  if (isSet(body.certificate)) addIssue({ message: OF_DOMAIN_MESSAGE, path: keyPath(body, 'certificate') })
}

/** What a domain has once, for all of its routes. */
const OF_DOMAIN = ['aliases', 'redirect_to', 'hsts'] as const satisfies readonly (keyof ProxyOptions)[]
const OF_DOMAIN_MESSAGE = 'is of the whole domain: set it on its route with the path "/"'

function isSet(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== null && value !== false
}

type Path = [v.ObjectPathItem, ...v.ObjectPathItem[]]
type AddIssue = (issue: { readonly message: string; readonly path?: Path }) => void

function keyPath(input: Record<string, unknown>, key: string): [v.ObjectPathItem] {
  return [{ type: 'object', origin: 'key', input, key, value: input[key] }]
}

function isPartialBody(value: unknown): value is Partial<Record<keyof Body, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isPartialOptions(value: unknown): value is Partial<Record<keyof ProxyOptions, unknown>> {
  return typeof value === 'object' && value !== null
}

/** The route that a valid body specifies. */
export function toSpec(body: Body): ProxySpec {
  const first = firstOf(body)
  return {
    domain: body.domain,
    ...pathField(body),
    upstream_host: first?.host ?? null,
    upstream_port: first?.port ?? null,
    ...(body.upstreams.length > 1 ? { upstreams: body.upstreams } : {}),
    require_healthy: body.require_healthy,
    enable_ssl: body.enable_ssl,
    ...(body.certificate === null ? {} : { certificate_from: body.certificate }),
    options: body.upstream?.scheme === 'https' ? { ...body.options, upstream_scheme: 'https' } : body.options,
  }
}

/** The upstream of a body, in whichever of its forms: of several, the first that is not a backup. */
function firstOf({
  upstreams,
  upstream,
  upstream_host = 'localhost',
  upstream_port,
}: Body): Pick<UpstreamEntry, 'host' | 'port'> | undefined {
  const only = upstream_port === undefined ? undefined : { host: upstream_host, port: upstream_port }
  return upstreams.find(({ backup }) => !backup) ?? upstream ?? only
}

/** Checks between the fields of a valid body. */
export function checkTogether(body: Body, addIssue: AddIssue): void {
  const { upstream, upstream_host, upstream_port, options } = body
  const first = firstOf(body)
  if (first === undefined) return
  const differs = (host: string | undefined, port: number | undefined) =>
    (host ?? first.host) !== first.host || (port ?? first.port) !== first.port
  if (differs(upstream?.host, upstream?.port) || differs(upstream_host, upstream_port))
    addIssue({ message: 'upstream, upstream_host and upstream_port, and upstreams, must be the same upstream' })
  if (options.upstream_host_header === 'upstream' && body.upstreams.length > 1)
    addIssue({
      message: 'must be domain or a name: there are several upstreams',
      path: [...keyPath({ ...body }, 'options'), ...keyPath({ ...options }, 'upstream_host_header')],
    })
}

/** The message for an object as a whole; it never repeats the input. */
export function objectMessage(issue: v.StrictObjectIssue): string {
  if (issue.expected === 'never') return 'is not a known field'
  if (issue.received === 'undefined') return 'is required'
  return 'must be a JSON object'
}
