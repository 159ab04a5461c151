/** What must be on the host between two batches of requests: exactly what was accepted, in its place, and nothing else. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { ngxConfParse, type Tree } from '../../helpers/ngx-conf-parse.ts'
import { leftovers, refusedByNginx } from '../host-promises.ts'
import { type AcceptedBody, domainOf, meantDirectives, withoutVersions } from './expected.ts'
import type { Scene } from './scene.ts'

export interface Accepted {
  readonly droplet: string
  readonly body: AcceptedBody
}

const SHARED = '000-proxy-manager.conf'
const Routes = v.array(
  v.looseObject({
    droplet_name: v.string(),
    revision: v.string(),
    status: v.string(),
    source: v.string(),
    certificate: v.nullable(v.looseObject({ fingerprint_sha256: v.string() })),
  }),
)

/**
 * The faults found. `accepted` has the bodies by the revision in the answer to them, `listed` what the Registry lists for the
 * droplets whose routes a sync has made.
 */
export async function faultsOnDisk(
  scene: Scene,
  readRoutes: () => Promise<unknown>,
  accepted: ReadonlyMap<string, Accepted>,
  listed: ReadonlyMap<string, AcceptedBody>,
): Promise<string[]> {
  const { nginx } = scene.host
  const routes = v.parse(Routes, await readRoutes())
  const wanted = [
    ...(routes.length > 0 ? [SHARED] : []),
    ...routes.map((route) => `fpai-${route.droplet_name}.conf`),
  ].sort()
  const faults: string[] = []
  for (const folder of [nginx.sitesAvailable, nginx.sitesEnabled]) {
    const found = readdirSync(folder).sort()
    const same =
      found.filter((name) => name !== SHARED).join(' ') === wanted.filter((name) => name !== SHARED).join(' ')
    if (!same) faults.push(`${folder} has ${found.join(' ')}, and the routes are ${wanted.join(' ')}`)
  }
  for (const name of readdirSync(nginx.sitesEnabled))
    if (readlinkSync(join(nginx.sitesEnabled, name)) !== join(nginx.sitesAvailable, name))
      faults.push(`${name} has a wrong target`)

  for (const { droplet_name: droplet, revision, source, status, certificate } of routes) {
    const body = source === 'registry' ? listed.get(droplet) : accepted.get(revision)?.body
    const text = readFileSync(join(nginx.sitesAvailable, `fpai-${droplet}.conf`), 'utf8')
    if (status === 'drifted' || status === 'disabled') faults.push(`${droplet} is ${status}`)
    if (body === undefined || (source === 'api' && accepted.get(revision)?.droplet !== droplet)) {
      faults.push(`nobody has requested ${droplet} as it is: ${text.slice(0, 700)}`)
      continue
    }
    const facts = {
      httpPort: nginx.httpPort,
      httpsPort: nginx.httpsPort,
      webroot: join(nginx.root, 'state/acme'),
      certificates: join(nginx.root, 'state/certificates'),
      fingerprint: certificate?.fingerprint_sha256,
    }
    if (certificate !== null && !scene.certified.includes(domainOf(body.domain)))
      faults.push(`${droplet} has a certificate of unknown origin`)
    faults.push(...difference(droplet, meantDirectives({ droplet, body, ...facts }), text))
  }
  if (readdirSync(nginx.sitesAvailable).includes(SHARED))
    faults.push(...faultsOfShared(readFileSync(join(nginx.sitesAvailable, SHARED), 'utf8')))
  faults.push(...scene.strayFiles().map((path) => `an unexpected file: ${path}`))
  return [...faults, ...leftovers(nginx), ...refusedByNginx(nginx)]
}

function difference(what: string, meant: readonly Tree[], text: string): string[] {
  const read = ngxConfParse(text)
  if (read === undefined) return [`${what}: NGINX cannot read ${text.slice(0, 700)}`]
  const [wanted, found] = [JSON.stringify(meant), JSON.stringify(withoutVersions(read))]
  if (wanted === found) return []
  const at = [...wanted].findIndex((character, i) => character !== found[i])
  return [
    `${what}: expected ...${wanted.slice(Math.max(0, at - 60), at + 120)}, found ...${found.slice(Math.max(0, at - 60), at + 120)}`,
  ]
}

/** The shared file contains nothing of any route; only its generation varies. */
function faultsOfShared(text: string): string[] {
  const read = ngxConfParse(text)
  if (read === undefined) return ['NGINX cannot read the shared file']
  const words = (trees: readonly Tree[]): string[] =>
    trees.flatMap(([own, block]) => [own.join(' '), ...(block === null ? [] : words(block))])
  const strange = words(read).filter((line) => !SHARED_LINE.test(line))
  return strange.map((line) => `in the shared file: ${line}`)
}

const SHARED_LINE =
  /^(server|server_names_hash_(bucket|max)_size \d+|map \$(http_upgrade|proxy_manager_upgrade) \$proxy_manager_(upgrade|connection)|default 0?|websocket (websocket|upgrade)|resolver [\w.:[\] ]+ valid=30s|resolver_timeout 5s|keepalive_min_timeout 5s|server_tokens on|allow (127\.0\.0\.0\/8|::1)|deny all|error_page 403 = @drop|auth_basic off|try_files \/nonexistent @generation|listen (\[::\]:)?\d+( ssl)?( http2)?( default_server)?|http2 on|server_name (generation|catch-all)\.proxy-manager\.invalid|access_log off|default_type text\/plain|return 444|location (\/|@generation|@drop|= \/status)|return 200 \d+|stub_status|ssl_reject_handshake on|ssl_(protocols|ciphers|ecdh_curve|prefer_server_ciphers|session_timeout|session_cache|session_tickets) [\w.:+ -]+)$/

const CERTBOT_ARGUMENT = [
  /^(certonly|register|delete|--(non-interactive|agree-tos|no-eff-email|no-directory-hooks|force-renewal))$/,
  /^--(renew-with-new-domains|authenticator=webroot|preferred-challenges=http-01)$/,
  /^--server=https:\/\/acme-v02\.api\.letsencrypt\.org\/directory$/,
  /^--account=[0-9a-f]{32}$/,
  // Those of an external account are in a file; without one, nothing is to take their place.
  /^--eab-(kid|hmac-key)=$/,
  /^--config=\/[\w/.-]+\/state\/certbot\/[0-9a-f-]{36}\.ini$/,
  /^--(webroot-path|config-dir)=\/[\w/.-]+$/,
  /^--(cert-name|domain)=[a-z0-9][a-z0-9._-]{1,252}$/,
  /^--email=[A-Za-z0-9][A-Za-z0-9._%+@-]{1,253}$/,
  /^--deploy-hook=touch '\/[\w/.-]+'$/,
]

/** Arguments of certbot that do not belong to an order. */
export function strangeArguments(scene: Scene): string[] {
  const isKnown = (argument: string) => CERTBOT_ARGUMENT.some((pattern) => pattern.test(argument))
  return scene
    .certbotCalls()
    .flatMap((call) => call.filter((argument) => !isKnown(argument)).map((one) => `certbot ${one}`))
}

/** What is wrong with the log: a line that is not JSON, one with a secret, or an unforeseen failure. */
export function faultsOfLog(scene: Scene, from: number): string[] {
  return scene.host.manager.log.slice(from).flatMap((text) => {
    const leaks = scene.secrets.filter((secret) => text.includes(secret)).map((secret) => `the log discloses ${secret}`)
    try {
      const line: unknown = JSON.parse(text)
      const isOne = typeof line === 'object' && line !== null && 'action' in line
      const isBad = /"error_code":"INTERNAL"|"action":"listen"/.test(text)
      return [
        ...leaks,
        ...(isOne ? [] : ['a line of the log is not an object']),
        ...(isBad ? [`the log has ${text.slice(0, 600)}`] : []),
      ]
    } catch {
      return [`a line of the log is not JSON: ${text.slice(0, 200)}`]
    }
  })
}
