/** The route that put and plan send: what the command line names, and the rest as it is. */

import { InvalidArgumentError, Option } from 'commander'
import * as v from 'valibot'
import { describeOptions } from '../../route/options.ts'
import { UpstreamUrl } from '../../upstream/upstream.ts'
import { type Answer, callApi, proxyPath } from '../api-client.ts'
import { type CliContext, CommandFailure, type Invocation } from '../command.ts'
import { flagOf } from '../refusal.ts'

const JsonObject = v.record(v.string(), v.unknown())

const Entry = v.object({ host: v.string(), port: v.number(), backup: v.boolean() })
type Entry = v.InferOutput<typeof Entry>

/** The route as it is now. Its options are kept as they are, those of a newer API included. */
const Present = v.object({
  domain: v.string(),
  path: v.optional(v.string()),
  upstream_host: v.nullable(v.string()),
  upstream_port: v.nullable(v.number()),
  upstreams: v.optional(v.array(Entry), []),
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
  new Option('--path <path>', 'Path of the domain to proxy, with all below it, such as /api (default: /)'),
  new Option(
    '--upstream <url>',
    'Upstream as http://host:port or https://host:port (required for a new route); repeated for several',
  ).argParser(parseList),
  new Option('--backup <url>', 'Upstream that is used only while no other is available; can be repeated').argParser(
    parseList,
  ),
  new Option('--no-backup', 'Remove every backup'),
  new Option('--ssl', 'Serve HTTPS as soon as there is a certificate (default of a new route)'),
  new Option('--no-ssl', 'Serve HTTP only'),
  new Option(
    '--certificate <name>',
    "Serve an uploaded certificate, or with lineage:NAME one of certbot's lineages, instead of its own",
  ).argParser(parseCertificate),
  new Option('--no-certificate', 'Serve its own, or a lineage that covers all of its names (default)'),
  new Option('--health-check', 'Check the upstream first (default)'),
  new Option('--no-health-check', 'Do not check the upstream first'),
  new Option('--any-healthy', 'Of several upstreams, one that is healthy is enough'),
  new Option('--options <json>', 'Options of the route (below) as a JSON object, instead of their flags').argParser(
    parseJsonObject,
  ),
  new Option('--reset-options', 'Set every option that is not named to its default'),
  ...describeOptions().flatMap((option) => optionFlags(option).map((flag) => flag.helpGroup('Options of the route:'))),
]

export const ROUTE_HELP = `What is not named stays as it is; a new route has the defaults. A list is
separated by commas, and replaces the present one. A header is "Name: value", or
"Name:" to remove that of the client; the flag is repeated for several, and they
replace the present ones.`

/** The flags of one option: `--allow <list>` and `--no-allow`. */
function optionFlags({ name, fallback, help, kind, isNullable }: ReturnType<typeof describeOptions>[number]): Option[] {
  const flag = flagOf(name)
  const described = `${help} (default: ${['null', '[]', '{}'].includes(fallback) ? 'none' : fallback.replaceAll('"', '')})`
  const off = new Option(
    flag.replace('--', '--no-'),
    { flag: 'Turn it off', list: 'Empty the list', headers: 'Empty the list', number: 'Unset it', text: 'Unset it' }[
      kind
    ],
  )
  if (kind === 'flag') return [new Option(flag, described), off]
  const value = new Option(`${flag} <${kind === 'headers' ? 'header' : kind}>`, described)
  if (kind === 'list') value.argParser(parseList)
  if (kind === 'headers') value.argParser(parseHeader)
  if (kind === 'number') value.argParser(parseNumber)
  return ['list', 'headers'].includes(kind) || isNullable ? [value, off] : [value]
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
  const { domain, path, upstream, ssl, certificate, healthCheck, anyHealthy } = given
  const kept = { ...(given.resetOptions ? {} : present?.options) }
  // The scheme is part of the URL that replaces the upstream.
  if (upstream !== undefined) delete kept.upstream_scheme
  const { scheme, ...upstreams } = upstreamFields(given, present)
  const options: Readonly<Record<string, unknown>> = {
    ...kept,
    ...(scheme === undefined ? {} : { upstream_scheme: scheme }),
    ...v.parse(v.optional(JsonObject), given.options),
    ...namedOptions(given),
  }
  if (present === undefined) {
    if (domain === undefined) throw new InvalidArgumentError(`--domain is required: there is no route ${name} yet`)
    if (upstream === undefined && options.redirect_to === undefined)
      throw new InvalidArgumentError(`--upstream or --redirect-to is required: there is no route ${name} yet`)
  }
  return {
    domain: domain ?? present?.domain,
    path: path ?? present?.path,
    ...upstreams,
    enable_ssl: ssl ?? present?.enable_ssl,
    certificate: certificate === false ? null : (certificate ?? present?.certificate_from),
    require_healthy: anyHealthy === true ? 'any' : healthCheck,
    options: Object.keys(options).length === 0 ? undefined : options,
  }
}

/** The fields of the upstreams: one as its URL, which the API reads, several as a list. Which is not named, upstreams or backups, is kept. */
function upstreamFields({ upstream, backup }: Invocation['options'], present: Present | undefined) {
  const [own, backups] = [upstream, backup].map((urls) => (Array.isArray(urls) ? urls.map(String) : undefined))
  const known = present?.upstreams ?? []
  const keptBackups = backup === undefined ? known.filter((entry) => entry.backup) : []
  const isOne = own?.length === 1 && backups === undefined && keptBackups.length === 0
  if (isOne) return { upstream: own[0] }
  if (own === undefined && backup === undefined && known.length < 2)
    return { upstream_host: present?.upstream_host ?? undefined, upstream_port: present?.upstream_port ?? undefined }
  const [read, readBackups] = [own?.map(readEntry), backups?.map(readEntry)]
  const schemes = new Set([...(read ?? []), ...(readBackups ?? [])].map((entry) => entry.scheme))
  if (schemes.size > 1) throw new InvalidArgumentError('All upstreams of a route must have the same scheme')
  const entries = (all: readonly Omit<Entry, 'backup'>[], isBackup: boolean): Entry[] =>
    all.map(({ host, port }) => ({ host, port, backup: isBackup }))
  const upstreams = [
    ...entries(read ?? known.filter((entry) => !entry.backup), false),
    ...entries(readBackups ?? keptBackups, true),
  ]
  return { upstreams, scheme: [...schemes][0] }
}

/** @throws {InvalidArgumentError} if it is no URL of an upstream */
function readEntry(text: string): v.InferOutput<typeof UpstreamUrl> {
  const url = v.safeParse(UpstreamUrl, text.includes('://') ? text : `http://${text}`)
  if (!url.success) throw new InvalidArgumentError(`Expected http://host:port or https://host:port, got ${text}`)
  return url.output
}

/** The options that have a flag of their own on the command line. `false` of a list or a value is its `--no-` flag. */
function namedOptions(given: Invocation['options']): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    describeOptions().flatMap(({ name, kind }): [string, unknown][] => {
      const value = given[new Option(flagOf(name)).attributeName()]
      if (value === undefined) return []
      return [[name, value === false && kind !== 'flag' ? EMPTY[kind] : value]]
    }),
  )
}

/** What a `--no-` flag sets. */
const EMPTY = { list: [], headers: {}, number: null, text: null }

/** A flag that is repeated adds a header; one without a value is removed, as in curl. */
function parseHeader(text: string, previous: unknown): Readonly<Record<string, unknown>> {
  const [, name, value = ''] = /^([^:]+):(.*)$/.exec(text) ?? []
  if (name === undefined) throw new InvalidArgumentError('Expected "Name: value", or "Name:" to remove it.')
  const before = v.is(JsonObject, previous) ? previous : {}
  return { ...before, [name.trim()]: value.trim() === '' ? null : value.trim() }
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
