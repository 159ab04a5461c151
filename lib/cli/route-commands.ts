/** The commands about routes: list, get, put, plan, delete, ssl. */
import * as v from 'valibot'
import { callApi, proxyPath } from './api.ts'
import { type Command, EXIT, type Invocation, misuse, type Outcome } from './command.ts'
import { fields, table } from './text.ts'

const Certificate = v.object({ issuer: v.string(), expiry: v.string() })
const Receipt = v.object({
  generation: v.number(),
  reloaded: v.boolean(),
  proved_by: v.string(),
  proved_ms: v.number(),
})
const Route = v.object({
  droplet_name: v.string(),
  domain: v.string(),
  upstream: v.string(),
  status: v.string(),
  last_health_status: v.string(),
  last_health_checked_at: v.nullable(v.string()),
  certificate: v.nullable(Certificate),
  ssl_error: v.optional(v.object({ reason: v.string(), message: v.string(), next_attempt_at: v.string() })),
  updated_at: v.string(),
  revision: v.string(),
  receipt: v.optional(Receipt),
})
type Route = v.InferOutput<typeof Route>

const Planned = v.object({
  plan: v.object({
    changes: v.array(v.object({ path: v.string(), action: v.string(), diff: v.string() })),
    nginx_test: v.object({ ok: v.boolean(), output: v.string() }),
  }),
})
const Deleted = v.object({ status: v.literal('deleted'), certificate_deleted: v.optional(v.boolean()) })
const Issued = v.object({
  domain: v.string(),
  status: v.string(),
  certificate: Certificate,
  ordered: v.boolean(),
  preflight: v.array(v.object({ check: v.string(), ok: v.boolean(), detail: v.string() })),
})

const WANTED = [
  { name: 'domain', value: 'DOMAIN', help: 'The domain to serve (required)' },
  { name: 'upstream', value: 'URL', help: 'Where to: http://host:port (required)' },
  { name: 'ssl', isNegative: true, help: 'Serve HTTP alone' },
  { name: 'health-check', isNegative: true, help: 'Do not probe the upstream first' },
  {
    name: 'options',
    value: 'JSON',
    help: 'Options of the route, as a JSON object; those left out are set to their defaults',
  },
] as const

export const list: Command = {
  name: 'list',
  summary: 'List the routes, all or those of one domain or status',
  options: [
    { name: 'domain', value: 'DOMAIN', help: 'Only the route of this domain' },
    { name: 'status', value: 'STATUS', help: 'Only those that are active, pending_ssl, drifted or disabled' },
  ],
  run: async ({ text }, world) => {
    const query = { domain: text('domain'), status: text('status') }
    const { json, shown } = await callApi(world, { method: 'GET', path: '/proxies', query }, v.array(Route))
    const rows = shown.map((route) => [
      route.droplet_name,
      route.domain,
      route.upstream,
      route.status,
      route.last_health_status,
      route.certificate?.expiry.slice(0, 10) ?? '-',
    ])
    const heading = ['NAME', 'DOMAIN', 'UPSTREAM', 'STATUS', 'HEALTH', 'CERTIFICATE UNTIL']
    return { json, text: shown.length === 0 ? 'There is no such route.' : table(heading, rows) }
  },
}

export const get: Command = {
  name: 'get',
  summary: 'Show one route, its last health check and its certificate',
  takesName: true,
  options: [],
  run: async ({ name }, world) => {
    const { json, shown } = await callApi(world, { method: 'GET', path: proxyPath(name) }, Route)
    return { json, text: describeRoute(shown) }
  },
}

export const put: Command = {
  name: 'put',
  summary: 'Create or replace a route; it is served when this ends with 0',
  takesName: true,
  options: WANTED,
  more: () => `Example:
  proxy-manager put app --domain app.example.com --upstream http://localhost:8002

The same call twice changes nothing the second time. See what it would change with "proxy-manager plan".
`,
  run: async (invocation, world) => {
    const { name } = invocation
    const call = { method: 'PUT', path: proxyPath(name), body: wantedRoute(put, invocation) } as const
    const { status, json, shown } = await callApi(world, call, Route)
    const isPending = status === 202
    const isUnchanged = shown.receipt?.reloaded === false
    const outcome = isUnchanged
      ? 'is unchanged'
      : status === 201
        ? 'is created'
        : isPending
          ? 'is served over HTTP'
          : 'is served as asked'
    const next = isPending ? `\n\nTo serve it over HTTPS, get a certificate: proxy-manager ssl ${name}` : ''
    return { json, text: `${name} ${outcome}.\n\n${describeRoute(shown)}${next}` }
  },
}

export const plan: Command = {
  name: 'plan',
  summary: 'Show what put would change, and whether NGINX accepts it; nothing is changed',
  takesName: true,
  options: WANTED,
  more: () => 'Ends with 1 where the API or NGINX refuses it.\n',
  run: async (invocation, world) => {
    const body = wantedRoute(plan, invocation)
    const call = { method: 'PUT', path: proxyPath(invocation.name), query: { dry_run: true }, body } as const
    const { json, shown } = await callApi(world, call, Planned)
    return describePlan(json, shown)
  },
}

export const remove: Command = {
  name: 'delete',
  summary: 'Remove a route',
  takesName: true,
  options: [
    { name: 'delete-certificate', help: 'Delete its certificate as well' },
    { name: 'dry-run', help: 'Show what would change; nothing is changed' },
  ],
  run: async ({ name, flag }, world) => {
    const path = proxyPath(name)
    if (flag('dry-run') === true) {
      const query = { dry_run: true, delete_certificate: flag('delete-certificate') }
      const { json, shown } = await callApi(world, { method: 'DELETE', path, query }, Planned)
      return describePlan(json, shown)
    }
    const query = { delete_certificate: flag('delete-certificate') }
    const { json, shown } = await callApi(world, { method: 'DELETE', path, query }, Deleted)
    const certificate =
      shown.certificate_deleted === undefined
        ? ''
        : shown.certificate_deleted
          ? ' Its certificate is deleted.'
          : ' Its certificate is still there: see the log of the API.'
    return { json, text: `${name} is deleted.${certificate}` }
  },
}

export const ssl: Command = {
  name: 'ssl',
  summary: 'Obtain or renew the certificate of a route, and serve it over HTTPS',
  takesName: true,
  options: [
    { name: 'force-renew', help: 'Order one although the present one is not due' },
    { name: 'email', value: 'ADDRESS', help: 'Contact that the CA is given' },
  ],
  run: async ({ name, text, flag }, world) => {
    const body = { email: text('email'), force_renew: flag('force-renew') }
    const { json, shown } = await callApi(world, { method: 'POST', path: `${proxyPath(name)}/ssl`, body }, Issued)
    const { domain, status, certificate, ordered, preflight } = shown
    return {
      json,
      text: fields({
        name,
        domain,
        status,
        certificate: `${certificate.issuer}, until ${certificate.expiry}${ordered ? '' : ' (it was there already)'}`,
        preflight: preflight.map(({ check, ok, detail }) => `${check} ${ok ? 'ok' : 'failed'}: ${detail}`),
      }),
    }
  },
}

/** The body of PUT. */
function wantedRoute(command: Command, { text, flag }: Invocation): Readonly<Record<string, unknown>> {
  const [domain, upstream, options] = [text('domain'), text('upstream'), text('options')]
  if (domain === undefined || upstream === undefined) throw misuse(command, '--domain and --upstream are required')
  return {
    domain,
    upstream,
    ...(flag('ssl') === undefined ? {} : { enable_ssl: flag('ssl') }),
    ...(flag('health-check') === undefined ? {} : { require_healthy: flag('health-check') }),
    ...(options === undefined ? {} : { options: readOptions(command, options) }),
  }
}

function readOptions(command: Command, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw misuse(command, '--options takes a JSON object')
  }
}

function describeRoute(route: Route): string {
  const { certificate, receipt, ssl_error: sslError, last_health_checked_at: checkedAt } = route
  return fields({
    name: route.droplet_name,
    domain: route.domain,
    upstream: route.upstream,
    status: route.status,
    health: checkedAt === null ? route.last_health_status : `${route.last_health_status} (${checkedAt})`,
    certificate: certificate === null ? 'none' : `${certificate.issuer}, until ${certificate.expiry}`,
    ...(sslError === undefined ? {} : { 'last order': `${sslError.message}; again from ${sslError.next_attempt_at}` }),
    updated: route.updated_at,
    revision: route.revision,
    ...(receipt?.reloaded !== true
      ? {}
      : { served: `generation ${receipt.generation}, proved by ${receipt.proved_by} in ${receipt.proved_ms} ms` }),
  })
}

function describePlan(json: unknown, { plan: { changes, nginx_test: test } }: v.InferOutput<typeof Planned>): Outcome {
  if (changes.length === 0) return { json, text: 'Nothing would change.' }
  const diffs = changes.map(({ path, action, diff }) => `${action} ${path}\n${diff.trimEnd()}`)
  const verdict = test.ok ? 'NGINX accepts it.' : `NGINX refuses it:\n${test.output.trim()}`
  return { json, text: [...diffs, verdict].join('\n\n'), exitStatus: test.ok ? EXIT.ok : EXIT.refused }
}
