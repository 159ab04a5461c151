/** The route that put and plan send: what the command line names, and the rest as it is. */

import { InvalidArgumentError, Option } from 'commander'
import * as v from 'valibot'
import { describeOptions } from '../route/options.ts'
import { type Answer, callApi, proxyPath } from './api-client.ts'
import { type CliContext, CommandFailure, type Invocation } from './command.ts'
import { flagOf } from './refusal.ts'

const JsonObject = v.record(v.string(), v.unknown())

/** The route as it is now. Its options are kept as they are, those of a newer API included. */
const Present = v.object({
  domain: v.string(),
  upstream_host: v.nullable(v.string()),
  upstream_port: v.nullable(v.number()),
  enable_ssl: v.boolean(),
  certificate_from: v.optional(JsonObject),
  options: JsonObject,
  revision: v.string(),
})
type Present = v.InferOutput<typeof Present>

/** How long the API may wait: for the new droplet, and for the former one. */
const WAIT_FLAG = new Option(
  '--wait <seconds>',
  'Wait at most this long for the droplet to become healthy; the change is made then',
)
export const DRAIN_FLAG = new Option(
  '--drain <seconds>',
  'Once the change is live, wait at most this long until the former droplet may be stopped',
)
export const WAIT_FLAGS: readonly Option[] = [WAIT_FLAG, DRAIN_FLAG]

/** How often a change is made again because another one came between reading and writing the route. */
const MAX_TRIES = 5

/** The flags of put and plan: one for each field, and one for each option of a route. */
export const ROUTE_FLAGS: readonly Option[] = [
  new Option('--domain <domain>', 'Domain to serve (required for a new route)'),
  new Option('--upstream <url>', 'Upstream as http://host:port or https://host:port (required for a new route)'),
  new Option('--ssl', 'Serve HTTPS as soon as there is a certificate (default of a new route)'),
  new Option('--no-ssl', 'Serve HTTP only'),
  new Option(
    '--certificate <name>',
    "Serve an uploaded certificate, or with lineage:NAME one of certbot's lineages, instead of its own",
  ).argParser(parseCertificate),
  new Option('--no-certificate', 'Serve its own, or a lineage that covers all of its names (default)'),
  new Option('--health-check', 'Check the upstream first (default)'),
  new Option('--no-health-check', 'Do not check the upstream first'),
  new Option('--options <json>', 'Options of the route (below) as a JSON object, instead of their flags').argParser(
    parseJsonObject,
  ),
  new Option('--reset-options', 'Set every option that is not named to its default'),
  ...describeOptions().flatMap((option) => optionFlags(option).map((flag) => flag.helpGroup('Options of the route:'))),
]

export const ROUTE_HELP = `What is not named stays as it is; a new route has the defaults. A list is
separated by commas, and replaces the present one.`

/** The flags of one option: `--allow <list>` and `--no-allow`. */
function optionFlags({ name, fallback, help, kind, isNullable }: ReturnType<typeof describeOptions>[number]): Option[] {
  const flag = flagOf(name)
  const described = `${help} (default: ${['null', '[]'].includes(fallback) ? 'none' : fallback.replaceAll('"', '')})`
  const off = new Option(
    flag.replace('--', '--no-'),
    kind === 'flag' ? 'Turn it off' : kind === 'list' ? 'Empty the list' : 'Unset it',
  )
  if (kind === 'flag') return [new Option(flag, described), off]
  const value = new Option(`${flag} <${kind}>`, described)
  if (kind === 'list') value.argParser(parseList)
  if (kind === 'number') value.argParser(parseNumber)
  return kind === 'list' || isNullable ? [value, off] : [value]
}

/**
 * Sends the route with what is named changed and the rest kept. If it changes meanwhile, it is read again, so that no change is lost.
 * @throws {InvalidArgumentError} if a new route lacks a domain, or an upstream or redirect
 * @throws {CommandFailure} as {@link callApi}
 */
export async function sendRoute<T>(
  { name, options: given }: Invocation,
  context: CliContext,
  query: Readonly<Record<string, unknown>>,
  schema: v.GenericSchema<unknown, T>,
): Promise<Answer<T>> {
  for (let tries = 1; ; tries++) {
    const present = await readPresent(context, name)
    const body = routeBody(name, given, present)
    const headers: Readonly<Record<string, string>> =
      present === undefined ? { 'if-none-match': '*' } : { 'if-match': `"${present.revision}"` }
    try {
      const waitS = waitOf(given)
      return await callApi(context, { method: 'PUT', path: proxyPath(name), query, body, headers, waitS }, schema)
    } catch (error) {
      if (!hasCode(error, 'PRECONDITION_FAILED') || tries === MAX_TRIES) throw error
    }
  }
}

/** The seconds that a call may wait. What is no number is left to the API to refuse. */
export function waitOf({ wait, drain }: Invocation['options']): number {
  return [wait, drain].reduce<number>((sum, seconds) => sum + (Number(seconds) || 0), 0)
}

async function readPresent(context: CliContext, name: string): Promise<Present | undefined> {
  try {
    return (await callApi(context, { method: 'GET', path: proxyPath(name) }, Present)).shown
  } catch (error) {
    if (hasCode(error, 'PROXY_NOT_FOUND')) return undefined
    throw error
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof CommandFailure && error.code === code
}

/** The body of PUT. What is `undefined` is left out of the JSON: the API's default. */
function routeBody(name: string, given: Invocation['options'], present: Present | undefined) {
  const { domain, upstream, ssl, certificate, healthCheck } = given
  const kept = { ...(given.resetOptions ? {} : present?.options) }
  // The scheme is part of the URL that replaces the upstream.
  if (upstream !== undefined) delete kept.upstream_scheme
  const options = { ...kept, ...v.parse(v.optional(JsonObject), given.options), ...namedOptions(given) }
  if (present === undefined) {
    if (domain === undefined) throw new InvalidArgumentError(`--domain is required: there is no route ${name} yet`)
    if (upstream === undefined && options.redirect_to === undefined)
      throw new InvalidArgumentError(`--upstream or --redirect-to is required: there is no route ${name} yet`)
  }
  return {
    domain: domain ?? present?.domain,
    ...(upstream === undefined
      ? { upstream_host: present?.upstream_host ?? undefined, upstream_port: present?.upstream_port ?? undefined }
      : { upstream }),
    enable_ssl: ssl ?? present?.enable_ssl,
    certificate: certificate === false ? null : (certificate ?? present?.certificate_from),
    require_healthy: healthCheck,
    options: Object.keys(options).length === 0 ? undefined : options,
  }
}

/** The options that have a flag of their own on the command line. `false` of a list or a value is its `--no-` flag. */
function namedOptions(given: Invocation['options']): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    describeOptions().flatMap(({ name, kind }): [string, unknown][] => {
      const value = given[new Option(flagOf(name)).attributeName()]
      if (value === undefined) return []
      return [[name, value === false && kind !== 'flag' ? (kind === 'list' ? [] : null) : value]]
    }),
  )
}

/** A name of an uploaded certificate; `lineage:` in front makes it one of certbot's. */
function parseCertificate(text: string): Readonly<Record<string, string>> {
  const lineage = /^lineage:(.+)$/.exec(text)?.[1]
  return lineage === undefined ? { name: text } : { lineage }
}

/** What is no number is sent as it is: the API's error says what it must be. */
function parseNumber(text: string): unknown {
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text
}

/** A flag that is repeated adds to its list. */
function parseList(text: string, previous: unknown): readonly string[] {
  const before = Array.isArray(previous) ? previous.map(String) : []
  return [...before, ...text.split(',').map((item) => item.trim())]
}

function parseJsonObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const json: unknown = JSON.parse(text)
    if (!Array.isArray(json)) return v.parse(JsonObject, json)
  } catch {}
  throw new InvalidArgumentError('Expected a JSON object.')
}
