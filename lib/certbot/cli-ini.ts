/**
 * The system's cli.ini, which certbot always reads. Its lines become arguments, unless the command line has the same option
 * (configargparse.py, `parse_known_args`); a flag that is true there has no argument that makes it false again.
 */

import type { Host } from '../host/host.ts'

/** In certbot's default directory, whatever `--config-dir` says (certbot/compat/misc.py). */
export const CLI_INI = '/etc/letsencrypt/cli.ini'

/** Its text; `undefined` if the host has none. */
export function readCliIni({ files }: Pick<Host, 'files'>): string | undefined {
  return files.read(CLI_INI)?.text
}

/** A line that no order can be made with. */
export interface CliIniFault {
  /** Counted from 1. */
  readonly line: number
  readonly text: string
  readonly why: string
}

interface Entry {
  readonly line: number
  readonly text: string
  /** Without the dashes in front. */
  readonly key: string
  readonly value: string
}

/** A line as configargparse's `DefaultConfigFileParser` reads it, in versions 1.5 to 1.7; 1.2 keeps quotes, and reads `name =` as the value `=`. */
const LINE =
  /^(?<key>[^:=;#\s]+)\s*(?:(?<equal>[:=\s])\s*(?<quote>['"]?)(?<value>.+?)?\k<quote>)?\s*(?:\s[;#]\s*(?:.*?)\s*)?$/
const FALSE = /^(false|no|off|0)$/i

/** Flags with which certbot makes no certificate for a route, or another one than was ordered. */
const FLAGS = new Map(
  Object.entries({
    'dry-run': 'certbot would only rehearse the order',
    staging: "certbot would order from Let's Encrypt's staging CA",
    'test-cert': "certbot would order from Let's Encrypt's staging CA",
    'must-staple': 'the certificate would be invalid without OCSP stapling, which NGINX does not guarantee',
    'allow-subset-of-names': 'the certificate could lack names of the route',
    'force-interactive': 'certbot would ask questions',
    standalone: 'certbot would answer the challenge with a web server of its own',
    manual: 'certbot would expect the challenge to be answered by hand',
    nginx: "certbot would change NGINX's configuration",
    apache: "certbot would change Apache's configuration",
  }),
)
/** Options that make another certificate than the one ordered, whatever their value. */
const VALUES = new Map(
  Object.entries({
    csr: 'the certificate would be for the names in that file',
    'ip-address': 'the certificate would be for that address as well',
  }),
)
/** A DNS plugin, such as `dns-cloudflare`; its further options (`dns-cloudflare-credentials`) have no effect on a webroot. */
const DNS_PLUGIN = /^dns-[a-z0-9]+$/
/** Options that our arguments always have, or that {@link overridingArguments} adds. */
const OVERRIDDEN = {
  installer: '',
  configurator: '',
  'pre-hook': '',
  'post-hook': '',
  'webroot-map': '{}',
  'issuance-timeout': '90',
}
const ALWAYS_PASSED = [
  ...['authenticator', 'server', 'account', 'email', 'domain', 'domains', 'cert-name', 'config-dir', 'webroot-path'],
  ...['preferred-challenges', 'deploy-hook', 'renew-hook'],
]
const GUARDED = [...FLAGS.keys(), ...VALUES.keys(), ...Object.keys(OVERRIDDEN), ...ALWAYS_PASSED]
/** Options of their own that are the beginning of a guarded one. */
const WHOLE = ['config', 'webroot']

/** The first line with which no order can be made; `undefined` if the file is missing or harmless. */
export function findCliIniFault(text: string | undefined): CliIniFault | undefined {
  const unreadable = linesOf(text).find(({ match }) => match === null)
  if (unreadable !== undefined)
    return { line: unreadable.line, text: unreadable.text, why: 'certbot cannot read this line' }
  for (const { line, text: own, key, value } of entriesOf(text)) {
    const why = faultOf(key, value)
    if (why !== undefined) return { line, text: own, why }
  }
  return undefined
}

function faultOf(key: string, value: string): string | undefined {
  const flag = DNS_PLUGIN.test(key) ? 'certbot would answer the challenge by DNS' : FLAGS.get(key)
  if (flag !== undefined) return FALSE.test(value) ? undefined : flag
  const option = VALUES.get(key)
  if (option !== undefined) return option
  if (GUARDED.includes(key) || WHOLE.includes(key)) return undefined
  // argparse accepts the beginning of an option for the whole.
  return GUARDED.some((option) => option.startsWith(key)) ? 'certbot has no such option' : undefined
}

/** Arguments that replace what the file says about the hooks and plugins of an order, with the deploy hook that is passed. */
export function overridingArguments(text: string | undefined, deployHook?: string): string[] {
  const keys = new Set(entriesOf(text).map(({ key }) => key))
  const values = { ...OVERRIDDEN, ...(deployHook === undefined ? {} : { 'renew-hook': deployHook }) }
  return Object.entries(values).flatMap(([option, value]) => (keys.has(option) ? [`--${option}=${value}`] : []))
}

/** The account that the file names. certbot makes no other one then. */
export function findAccountLine(text: string | undefined): (CliIniFault & { readonly account: string }) | undefined {
  const entry = entriesOf(text).find(({ key }) => key === 'account')
  if (entry === undefined) return undefined
  const { line, text: own, value: account } = entry
  return { line, text: own, account, why: 'certbot makes no account while the file names one' }
}

/** The line that certbot's message is about ("unrecognized arguments: --name=1", "Unexpected value for name: …"). */
export function findBlamedLine(text: string | undefined, message: string): CliIniFault | undefined {
  const words = message.split(/[\s=:,/]+/)
  const isNamed = (key: string) => words.includes(`--${key}`) || message.includes(` for ${key}:`)
  const blamed = entriesOf(text).find(({ key }) => isNamed(key))
  return blamed === undefined ? undefined : { line: blamed.line, text: blamed.text, why: message }
}

/** Of several lines with one key, the last one counts. */
function entriesOf(text: string | undefined): readonly Entry[] {
  const entries = new Map<string, Entry>()
  for (const { line, text: own, match } of linesOf(text)) {
    if (match === null) continue
    const { key = '', equal, value = equal === undefined || equal === ' ' ? 'true' : '' } = match.groups ?? {}
    entries.set(key, { line, text: own, key: key.replace(/^-+/, ''), value })
  }
  return [...entries.values()]
}

function linesOf(text = '') {
  return text.split(/\r\n|\r|\n/).flatMap((raw, i) => {
    const own = raw.trim()
    if (own === '' || /^[#;[]|^---/.test(own)) return []
    return [{ line: i + 1, text: own, match: LINE.exec(own) }]
  })
}
