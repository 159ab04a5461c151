/** proxy-manager put and plan */

import { InvalidArgumentError, Option } from 'commander'
import * as v from 'valibot'
import { describeOptions } from '../../route/options.ts'
import { callApi, proxyPath } from '../api-client.ts'
import type { CommandDefinition, Invocation } from '../command.ts'
import { describePlan, describeRoute, Planned, Route } from '../describe.ts'

const JsonObject = v.record(v.string(), v.unknown())

/** The options of put and plan. */
const ROUTE_OPTIONS: readonly Option[] = [
  new Option('--domain <domain>', 'Domain to serve (required)').makeOptionMandatory(),
  new Option('--upstream <url>', 'Upstream as http://host:port (required unless --redirect-to is given)'),
  new Option('--redirect-to <domain>', 'Redirect every request to this domain'),
  new Option('--ssl', 'Serve HTTPS as soon as there is a certificate (default)'),
  new Option('--no-ssl', 'Serve HTTP only'),
  new Option('--health-check', 'Check the upstream first (default)'),
  new Option('--no-health-check', 'Do not check the upstream first'),
  new Option(
    '--options <json>',
    'Route options (below) as a JSON object; omitted options are set to their defaults',
  ).argParser(parseJsonObject),
]

function routeOptionsHelp(): string {
  const lines = describeOptions().map(({ name, fallback, help }) => `  ${name} (${fallback})\n      ${help}`)
  return `Route options, with their defaults:\n${lines.join('\n')}`
}

export const put: CommandDefinition = {
  name: 'put',
  summary: 'Create or replace a route; exit status 0: the route is live',
  expectsName: true,
  options: ROUTE_OPTIONS,
  details: () => `Examples:
  proxy-manager put app --domain app.example.com --upstream http://localhost:8002
  proxy-manager put app --domain app.example.com --upstream http://localhost:8002 --options '{"maintenance":true}'

Repeating a call changes nothing. To see what it would change, use "proxy-manager plan".

${routeOptionsHelp()}`,
  run: async ({ name, options }, context) => {
    const call = { method: 'PUT', path: proxyPath(name), body: routeBody(options) } as const
    const { status, json, shown } = await callApi(context, call, Route)
    const isPending = status === 202
    const isUnchanged = shown.receipt?.reloaded === false
    const outcome = isUnchanged
      ? 'unchanged'
      : status === 201
        ? 'created'
        : isPending
          ? 'is served over HTTP'
          : 'updated'
    const next = isPending ? `\n\nTo serve it over HTTPS, get a certificate: proxy-manager ssl ${name}` : ''
    return { json, text: `${name} ${outcome}.\n\n${describeRoute(shown)}${next}` }
  },
}

export const plan: CommandDefinition = {
  name: 'plan',
  summary: 'Show what put would change and whether NGINX accepts it, without changing anything',
  expectsName: true,
  options: ROUTE_OPTIONS,
  details: () => `Example:
  proxy-manager plan app --domain app.example.com --upstream http://localhost:8002

Exit status 1: the API refuses the route, or NGINX rejects it.

${routeOptionsHelp()}`,
  run: async ({ name, options }, context) => {
    const call = { method: 'PUT', path: proxyPath(name), query: { dry_run: true }, body: routeBody(options) } as const
    const { json, shown } = await callApi(context, call, Planned)
    return describePlan(json, shown)
  },
}

/**
 * The body of PUT: only what was given, so that the API's defaults apply to the rest.
 * @throws {InvalidArgumentError} if neither an upstream nor a redirect was given
 */
function routeBody(given: Invocation['options']): Readonly<Record<string, unknown>> {
  const { domain, upstream, redirectTo, ssl, healthCheck } = given
  if (upstream === undefined && redirectTo === undefined)
    throw new InvalidArgumentError('--upstream or --redirect-to is required')
  const own = v.parse(v.optional(JsonObject), given.options)
  const options = redirectTo === undefined ? own : { ...own, redirect_to: redirectTo }
  return { domain, upstream, enable_ssl: ssl, require_healthy: healthCheck, options }
}

function parseJsonObject(text: string): Readonly<Record<string, unknown>> {
  try {
    return v.parse(JsonObject, JSON.parse(text))
  } catch {
    throw new InvalidArgumentError('Expected a JSON object.')
  }
}
