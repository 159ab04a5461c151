/** The commands about routes: list, get, put, plan, delete, ssl. */

import * as v from 'valibot'
import { describeOptions } from '../../route/options.ts'
import { callApi, proxyPath } from '../api-client.ts'
import { type Command, type Invocation, misuse } from '../command.ts'
import { describeRoute, Route } from '../describe.ts'

export const WANTED = [
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

export const optionsHelp = () => {
  const lines = describeOptions().map(({ name, fallback, help }) => `  ${name} (${fallback})\n      ${help}`)
  return `\nOptions of a route, with their defaults:\n${lines.join('\n')}\n`
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

/** The body of PUT. */
export function wantedRoute(command: Command, { text, flag }: Invocation): Readonly<Record<string, unknown>> {
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
