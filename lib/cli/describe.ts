/** The API's answers as text. The schemas name only what is shown. */

import * as v from 'valibot'
import { pathField, ROOT } from '../net/path.ts'
import { DEFAULT_OPTIONS } from '../route/options.ts'
import { upstreamsOf } from '../upstream/upstream.ts'
import { EXIT, type Outcome } from './command.ts'
import { fields } from './text.ts'

export const Certificate = v.object({
  issuer: v.string(),
  expiry: v.string(),
  source: v.optional(v.string(), 'own'),
  lineage: v.optional(v.string()),
  name: v.optional(v.string()),
  why: v.optional(v.string()),
})
export const Former = v.array(
  v.object({
    upstream: v.string(),
    drained: v.nullable(v.boolean()),
    connections: v.nullable(v.number()),
    waited_ms: v.number(),
  }),
)
const Receipt = v.object({
  generation: v.number(),
  reloaded: v.boolean(),
  proved_by: v.string(),
  proved_ms: v.number(),
  former: v.optional(Former, []),
})
export const Actor = v.looseObject({ kind: v.string(), name: v.optional(v.string()) })

/** Who did something: the kind of the caller, and the name of its token. */
export function describeActor({ kind, name }: v.InferOutput<typeof Actor>): string {
  return name === undefined ? kind : `${kind} ${name}`
}

export const Health = v.object({
  status: v.string(),
  since: v.nullable(v.string()),
  latency_ms: v.nullable(v.number()),
  failure: v.optional(v.nullable(v.string()), null),
  consecutive_failures: v.optional(v.number(), 0),
  upstreams: v.optional(
    v.array(
      v.object({
        upstream: v.string(),
        status: v.string(),
        since: v.nullable(v.string()),
        latency_ms: v.nullable(v.number()),
        failure: v.nullable(v.string()),
        consecutive_failures: v.number(),
      }),
    ),
    [],
  ),
})
export const Route = v.object({
  droplet_name: v.string(),
  domain: v.string(),
  path: v.optional(v.string(), ROOT),
  served_by: v.optional(v.string()),
  upstream: v.nullable(v.string()),
  upstreams: v.optional(v.array(v.object({ host: v.string(), port: v.number(), backup: v.boolean() })), []),
  enable_ssl: v.boolean(),
  source: v.string(),
  options: v.looseObject({ redirect_to: v.nullable(v.string()) }),
  status: v.string(),
  last_health_status: v.string(),
  last_health_checked_at: v.nullable(v.string()),
  health: v.optional(Health),
  certificate: v.nullable(Certificate),
  ssl_error: v.optional(v.object({ reason: v.string(), message: v.string(), next_attempt_at: v.string() })),
  draining: v.optional(v.array(v.object({ upstream: v.string(), connections: v.number() })), []),
  updated_at: v.string(),
  updated_by: v.optional(v.nullable(Actor)),
  revision: v.string(),
  receipt: v.optional(Receipt),
})
export type Route = v.InferOutput<typeof Route>

export const Planned = v.object({
  plan: v.object({
    changes: v.array(v.object({ path: v.string(), action: v.string(), diff: v.string() })),
    nginx_test: v.object({ ok: v.boolean(), output: v.string() }),
  }),
})
export const Preflight = v.array(
  v.object({ check: v.string(), domain: v.string(), ok: v.boolean(), detail: v.string() }),
)

/** One directive of a hand-written site, and what becomes of it. */
export const Finding = v.object({ file: v.string(), line: v.number(), directive: v.string(), text: v.string() })

export function lineOf({ file, line, directive, text }: v.InferOutput<typeof Finding>): string {
  return `${file}:${line}  ${directive}: ${text}`
}

/** The domain of a route, with its path if it has one. */
export function siteOf(route: Route): string {
  return route.domain + (pathField(route).path ?? '')
}

/** The upstream or the redirect of a route. */
export function destination({ upstream, upstreams, options }: Route): string {
  if (options.redirect_to !== null) return `redirect to ${options.redirect_to}`
  return upstreams.length < 2 ? (upstream ?? '-') : `${upstream} +${upstreams.length - 1}`
}

/** Each upstream of a route, or its only one. */
function describeUpstreams({ upstream, upstreams }: Route): string | readonly string[] | undefined {
  if (upstreams.length < 2) return upstream ?? undefined
  const scheme = upstream?.startsWith('https:') ? 'https' : 'http'
  const all = { upstream_host: null, upstream_port: null, upstreams, options: { upstream_scheme: scheme } } as const
  return upstreamsOf(all).map(({ url, backup }) => (backup ? `${url} (backup)` : url))
}

/** Whether the droplets that a change has replaced may be stopped, one line each. */
export function describeFormer(former: v.InferOutput<typeof Former>): string[] {
  return former.map(({ upstream, drained, connections, waited_ms }) => {
    if (drained === true) return `${upstream} is drained: its droplet may be stopped`
    if (drained === null) return `${upstream}: it is not known whether its droplet may be stopped`
    const left = connections === 1 ? '1 connection' : `${connections} connections`
    return `${upstream} is not drained after ${Math.round(waited_ms / 1000)} s: ${left}, or requests that are still being read`
  })
}

/** One line per check. */
export function describeChecks(checks: v.InferOutput<typeof Preflight>): string[] {
  return checks.map(({ check, domain, ok, detail }) => `${domain} ${check} ${ok ? 'ok' : 'failed'}: ${detail}`)
}

/** What a caller has set otherwise than by default, a newer API's options included. */
function settings({ enable_ssl, source, options }: Route): Readonly<Record<string, string | readonly string[]>> {
  const defaults: Readonly<Record<string, unknown>> = { enable_ssl: true, source: 'api', ...DEFAULT_OPTIONS }
  const differing = Object.entries({ enable_ssl, source, ...DEFAULT_OPTIONS, ...options }).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(defaults[name]),
  )
  return Object.fromEntries(
    differing.map(([name, value]) => [
      name,
      Array.isArray(value) ? value.map(String) : v.is(Headers, value) ? headerLines(value) : String(value),
    ]),
  )
}

const Headers = v.record(v.string(), v.nullable(v.string()))

function headerLines(headers: v.InferOutput<typeof Headers>): readonly string[] {
  return Object.entries(headers).map(([name, value]) => (value === null ? `${name}:` : `${name}: ${value}`))
}

function describeHealth({ health, last_health_status: status, last_health_checked_at: checkedAt }: Route): string {
  if (health !== undefined && health.since !== null) return describeChecked(health)
  return checkedAt === null ? status : `${status} (${checkedAt})`
}

/** What the checks of an upstream have shown. */
export function describeChecked(health: Omit<v.InferOutput<typeof Health>, 'upstreams'>): string {
  const { status, since, latency_ms: latencyMs, failure, consecutive_failures: failures } = health
  if (latencyMs === null) return status
  const last = failure === null ? `${latencyMs} ms` : `${failure}, failures in a row: ${failures}`
  return since === null ? `${status}; last check: ${last}` : `${status} since ${since}; last check: ${last}`
}

/** Issuer and end of a certificate, and where it is from unless it is the route's own. */
function describeCertificate({
  issuer,
  expiry,
  source,
  lineage,
  name,
  why,
}: v.InferOutput<typeof Certificate>): string[] {
  const from = source === 'own' ? [] : [`${source} ${lineage ?? name}: ${why}`]
  return [`${issuer}, until ${expiry}`, ...from]
}

/** A route, one line per property; after a change with the time that its steps took. */
export function describeRoute(route: Route, timing: string | null = null): string {
  const { certificate, receipt, ssl_error: sslError } = route
  return fields({
    name: route.droplet_name,
    domain: route.domain,
    ...pathField(route),
    'served by': route.served_by,
    upstream: describeUpstreams(route),
    ...settings(route),
    status: route.status,
    health: describeHealth(route),
    'health of each': (route.health?.upstreams ?? []).map((one) => `${one.upstream}: ${describeChecked(one)}`),
    certificate: certificate === null ? 'none' : describeCertificate(certificate),
    ...(sslError === undefined
      ? {}
      : { 'last order': `${sslError.message}; next attempt at ${sslError.next_attempt_at}` }),
    draining: route.draining.map(({ upstream, connections }) => `${upstream}: ${connections} open`),
    updated: `${route.updated_at}${route.updated_by == null ? '' : `, by ${describeActor(route.updated_by)}`}`,
    revision: route.revision,
    ...(receipt?.reloaded !== true
      ? {}
      : {
          served: `generation ${receipt.generation}, proved by ${receipt.proved_by} in ${receipt.proved_ms} ms`,
          took: timing?.replace(/;dur=(\d+)(\.\d+)?/g, ' $1 ms'),
          former: describeFormer(receipt.former),
        }),
  })
}

/** The diffs and the result of `nginx -t` of a dry run; exit status 1 if NGINX rejects it. */
export function describePlan(
  json: unknown,
  { plan: { changes, nginx_test: test } }: v.InferOutput<typeof Planned>,
): Outcome {
  if (changes.length === 0) return { json, text: 'Nothing would change.' }
  const diffs = changes.map(({ path, action, diff }) => `${action} ${path}\n${diff.trimEnd()}`)
  const result = test.ok ? 'NGINX accepts it.' : `NGINX rejects it:\n${test.output.trim()}`
  return { json, text: [...diffs, result].join('\n\n'), exitStatus: test.ok ? EXIT.ok : EXIT.refused }
}
