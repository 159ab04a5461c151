/** The API's errors and advice in the words of the command line: commands and flags instead of calls and fields. */

import * as v from 'valibot'
import { describeChecks, Finding, lineOf, Preflight } from './describe.ts'

export const Refusal = v.object({
  error: v.looseObject({
    code: v.string(),
    message: v.string(),
    details: v.optional(v.record(v.string(), v.unknown()), {}),
  }),
})
export type Refusal = v.InferOutput<typeof Refusal>

const Issues = v.array(v.object({ path: v.string(), message: v.string() }))
const JsonObject = v.record(v.string(), v.unknown())

/** Fields of the API whose flags are not called like them. */
const FLAGS: Readonly<Record<string, string>> = {
  require_healthy: '--health-check',
  enable_ssl: '--ssl',
  upstream_host: '--upstream',
  upstream_port: '--upstream',
  upstreams: '--upstream',
  options: '--options',
  health_wait_s: '--wait',
  drain_wait_s: '--drain',
  droplet_name: 'NAME',
  droplet_names: '--name',
}

/** The flag of a field or an option of the API: `max_body_size` is `--max-body-size`. */
export function flagOf(field: string): string {
  return FLAGS[field] ?? `--${field.replaceAll('_', '-')}`
}

const TOKEN = 'Set PROXY_MANAGER_API_TOKEN, or PROXY_MANAGER_API_TOKEN_FILE,'

/** Wordings of the API, and what a reader of the command line does instead; the first that fit are replaced first. */
const WORDINGS: readonly (readonly [pattern: RegExp, words: string | ((...found: string[]) => string)])[] = [
  [/Send (.+), as "Authorization: Bearer \.\.\."/, `${TOKEN} to $1`],
  [/\bcall with a token\b/, 'set PROXY_MANAGER_API_TOKEN'],
  [/Call a loopback address/, 'Set PROXY_MANAGER_URL to a loopback address'],
  [/GET the route, then repeat the call with .+|Omit If-None-Match to replace it/, 'Run the command again'],
  [/Use PUT to replace it/, 'Use "proxy-manager put" to replace it'],
  [/\bthe PUT of a route\b/, '"proxy-manager put" of a route'],
  [/\brepeat (?=PUT \/)/g, 'run '],
  [/\bPUT \/proxies\/([\w-]+)/g, '"proxy-manager put $1"'],
  [/\bDELETE \/proxies\/([\w-]+)/g, '"proxy-manager delete $1"'],
  [/\bPOST \/proxies\/([\w-]+)\/ssl/g, '"proxy-manager ssl $1"'],
  [/\bPOST \/proxies\/([\w-]+)\/rename\b/g, '"proxy-manager rename $1"'],
  [/\bGET \/proxies\/([\w-]+)/g, '"proxy-manager get $1"'],
  [/\bPUT \/certificates\/([\w.-]+)/g, '"proxy-manager upload-certificate $1"'],
  [/\bDELETE \/certificates\/([\w.-]+)/g, '"proxy-manager delete-certificate $1"'],
  [/\bGET \/certificates\b/g, '"proxy-manager certificates"'],
  [/\bpass "certificate": null/, 'pass --no-certificate'],
  [/\bGET \/proxies\?health=(\w+)/g, '"proxy-manager list --health $1"'],
  [/\bGET \/proxies\b/g, '"proxy-manager list"'],
  [/\bGET \/host\/sites\b/g, '"proxy-manager sites"'],
  [/\bGET \/proxy-manager\/health\b/g, '"proxy-manager health"'],
  [/\bPOST \/proxy-manager\/sync-from-registry\b/g, '"proxy-manager sync"'],
  [/\bPOST \/proxy-manager\/reconcile\b/g, '"proxy-manager reconcile"'],
  [/\bleave out options\.(\w+)/g, (_, option = '') => `pass ${flagOf(option).replace('--', '--no-')}`],
  [/"(\w+)": false\b/g, (_, field = '') => flagOf(field).replace('--', '--no-')],
  [/"(\w+)": true\b/g, (_, field = '') => flagOf(field)],
  [/\boptions\.(\w+)/g, (_, option = '') => flagOf(option)],
  [/\bconfirm=(\w+)/g, '--confirm $1'],
  [/\bpass the address as upstream_host\b/, 'pass the address in --upstream'],
  [/\bupstream_(?:host|port)\b/g, '--upstream'],
  [/\bdroplet_names\b/g, '--name'],
  [/\bdroplet_name\b/g, 'name'],
  [/\banother e-mail\b/, 'another address with --email'],
  [/\bthe time in Retry-After\b/, 'the time in "retry at"'],
  [/\bdetails\.(\w+)/g, '"$1"'],
  [/\bnginx_output( and diagnostics)?/g, "NGINX's output above"],
  [/\bcall again\b/g, 'run the command again'],
]

/** A sentence of the API, such as a remedy or a reason of health, as the command line says it. */
export function inCommandWords(sentence: string): string {
  return WORDINGS.reduce(
    (text, [pattern, words]) =>
      typeof words === 'string' ? text.replace(pattern, words) : text.replace(pattern, words),
    sentence,
  )
}

/** The details that are shown, in this order; each item of a list has its own line. */
const SHOWN = [
  'file',
  'upstream',
  'attempts',
  'findings',
  'owner',
  'users',
  'orphaned',
  'retry_at',
  'remedy',
  'correlation_id',
]

/** Lists of which each item has its own line. */
const SINGLE: Readonly<Record<string, string>> = { attempts: 'attempt', findings: 'finding' }

/** Code and message, then the details that a person needs, one line each. `retryAfterS` is the answer's `Retry-After`. */
export function describeRefusal(
  { error: { code, message, details } }: Refusal,
  retryAfterS: string | null = null,
): string {
  const { issues, nginx_output: nginx, certbot_output: certbot, preflight, state } = details
  const remedy = details.remedy ?? (code === 'UNAUTHORIZED' ? `${TOKEN} to the API token` : undefined)
  const shown = SHOWN.flatMap((name) => {
    const value = name === 'remedy' ? remedy : details[name]
    const single = SINGLE[name]
    const values = value === undefined ? [] : Array.isArray(value) && single !== undefined ? value : [value]
    return values.map(
      (one) => `${single ?? name.replaceAll('_', ' ')}: ${v.is(Finding, one) ? lineOf(one) : plain(one)}`,
    )
  })
  const lines = [
    ...(v.is(Issues, issues) ? issues.map((issue) => `${placeOf(issue.path)}: ${inCommandWords(issue.message)}`) : []),
    ...[nginx, certbot].flatMap((output) => (typeof output === 'string' ? output.trim().split('\n') : [])),
    ...(v.is(Preflight, preflight) ? describeChecks(preflight) : []),
    ...(state === 'rolled_back' || state === 'degraded' ? [`state: ${plain(state)}`] : []),
    ...(retryAfterS === null || details.retry_at !== undefined ? [] : [`retry after: ${retryAfterS} s`]),
    ...shown,
  ]
  return [
    `${code}: ${inCommandWords(message)}`,
    ...lines.filter((line) => line !== '').map((line) => `  ${line}`),
  ].join('\n')
}

/** The flag that an issue is about: `options.allow.1` is `--allow (item 2)`, `options.request_headers.Host` is `--request-headers (Host)`. */
function placeOf(path: string): string {
  const [field = '', ...rest] = path.replace(/^options\./, '').split('.')
  if (field === '') return 'request'
  const [item] = rest
  if (item === undefined) return flagOf(field)
  return `${flagOf(field)} (${/^\d+$/.test(item) ? `item ${Number(item) + 1}` : item})`
}

/** A detail as text, without JSON's punctuation. */
function plain(value: unknown): string {
  if (Array.isArray(value)) return value.map(plain).join(', ')
  if (v.is(JsonObject, value))
    return Object.entries(value)
      .map(([name, one]) => `${name === 'droplet_name' ? 'route' : name.replaceAll('_', ' ')} ${plain(one)}`)
      .join(', ')
  return typeof value === 'string' ? inCommandWords(value) : String(value)
}
