/** The commands about routes: list, get, put, plan, delete, ssl. */
import * as v from 'valibot'
import { describeOptions } from '../core/proxy-options.ts'
import { callApi, proxyPath } from './api.ts'
import { type Command, type Invocation, misuse } from './command.ts'
import {
  Certificate,
  describeChecks,
  describePlan,
  describeRoute,
  leadsTo,
  Planned,
  Preflight,
  Route,
} from './describe.ts'
import { fields, table } from './text.ts'

const Deleted = v.object({ status: v.literal('deleted'), certificate_deleted: v.optional(v.boolean()) })
const Issued = v.object({
  domain: v.string(),
  status: v.string(),
  certificate: Certificate,
  ordered: v.boolean(),
  preflight: Preflight,
})
const PlannedIssue = v.object({ ...Planned.entries, would_order: v.boolean(), preflight: Preflight })

const WANTED = [
  { name: 'domain', value: 'DOMAIN', help: 'The domain to serve (required)' },
  { name: 'upstream', value: 'URL', help: 'Where to: http://host:port (required, unless it only redirects)' },
  { name: 'redirect-to', value: 'DOMAIN', help: 'Redirect every request to this domain instead' },
  { name: 'ssl', isNegative: true, help: 'Serve HTTP alone' },
  { name: 'health-check', isNegative: true, help: 'Do not probe the upstream first' },
  {
    name: 'options',
    value: 'JSON',
    help: 'Options of the route (below), as a JSON object; those left out are set to their defaults',
  },
] as const

const optionsHelp = () => {
  const lines = describeOptions().map(({ name, fallback, help }) => `  ${name} (${fallback})\n      ${help}`)
  return `\nOptions of a route, with their defaults:\n${lines.join('\n')}\n`
}

export const list: Command = {
  name: 'list',
  summary: 'List the routes, all or those of one domain or status',
  options: [
    { name: 'domain', value: 'DOMAIN', help: 'Only the route of this domain' },
    { name: 'status', value: 'STATUS', help: 'Only those that are active, pending_ssl, drifted or disabled' },
  ],
  more: () => `Examples:
  proxy-manager list --status pending_ssl
  proxy-manager list --json | jq -r '.[].domain'
`,
  run: async ({ text }, world) => {
    const query = { domain: text('domain'), status: text('status') }
    const { json, shown } = await callApi(world, { method: 'GET', path: '/proxies', query }, v.array(Route))
    const rows = shown.map((route) => [
      route.droplet_name,
      route.domain,
      leadsTo(route),
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
  more: () => 'Example:\n  proxy-manager get app\n',
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
  more: () => `Examples:
  proxy-manager put app --domain app.example.com --upstream http://localhost:8002
  proxy-manager put app --domain app.example.com --upstream http://localhost:8002 --options '{"maintenance":true}'

The same call twice changes nothing the second time. See what it would change with "proxy-manager plan".
${optionsHelp()}`,
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
  more: () => `Example:
  proxy-manager plan app --domain app.example.com --upstream http://localhost:8002

Ends with 1 where the API or NGINX refuses it.
${optionsHelp()}`,
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
  more: () => 'Example:\n  proxy-manager delete app --delete-certificate\n',
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
    {
      name: 'dry-run',
      help: 'Look whether the CA would get its answers, and show what would change; nothing is changed',
    },
  ],
  more: () => `Examples:
  proxy-manager ssl app --dry-run
  proxy-manager ssl app --email ops@example.com

Takes as long as the CA does: seconds, at most about three minutes.
`,
  run: async ({ name, text, flag }, world) => {
    const body = { email: text('email'), force_renew: flag('force-renew') }
    const call = { method: 'POST', path: `${proxyPath(name)}/ssl`, body } as const
    if (flag('dry-run') === true) {
      const { json, shown } = await callApi(world, { ...call, query: { dry_run: true } }, PlannedIssue)
      const asked = shown.would_order ? 'The CA would be asked.' : 'The CA would not be asked.'
      const planned = describePlan(json, shown)
      return { ...planned, text: [asked, ...describeChecks(shown.preflight), planned.text].join('\n') }
    }
    const { json, shown } = await callApi(world, call, Issued)
    const { domain, status, certificate, ordered, preflight } = shown
    return {
      json,
      text: fields({
        name,
        domain,
        status,
        certificate: `${certificate.issuer}, until ${certificate.expiry}${ordered ? '' : ' (it was there already)'}`,
        preflight: describeChecks(preflight),
      }),
    }
  },
}

/** The body of PUT. */
function wantedRoute(command: Command, { text, flag }: Invocation): Readonly<Record<string, unknown>> {
  const [domain, upstream, redirectTo] = [text('domain'), text('upstream'), text('redirect-to')]
  if (domain === undefined || (upstream === undefined && redirectTo === undefined))
    throw misuse(command, '--domain and --upstream (or --redirect-to) are required')
  const own = text('options') === undefined ? {} : readOptions(command, text('options') ?? '')
  const options = redirectTo === undefined ? own : { ...own, redirect_to: redirectTo }
  return {
    domain,
    ...(upstream === undefined ? {} : { upstream }),
    ...(flag('ssl') === undefined ? {} : { enable_ssl: flag('ssl') }),
    ...(flag('health-check') === undefined ? {} : { require_healthy: flag('health-check') }),
    ...(Object.keys(options).length === 0 ? {} : { options }),
  }
}

function readOptions(command: Command, text: string): Readonly<Record<string, unknown>> {
  try {
    return v.parse(v.record(v.string(), v.unknown()), JSON.parse(text))
  } catch {
    throw misuse(command, '--options takes a JSON object')
  }
}
