/** certbot's lineages of a domain: whose they are, which one an order writes, and what a crash or a manual edit leaves of them. */
import { nextBackup, pruneBackups } from '../host/backups.ts'
import type { Host } from '../host/host.ts'
import { remember } from '../host/remember.ts'
import { deployHook } from './certbot-arguments.ts'
import { readLedger } from './ledger-file.ts'
import { lineageNameOf, numberedLineage, plainLineage } from './lineage-name.ts'

type LineageHost = Pick<Host, 'files' | 'settings' | 'paths' | 'clock'>

export interface Lineage {
  readonly name: string
  /** Made by Proxy Manager. Every other one is only read. */
  readonly isOurs: boolean
}

export interface LineageChoice {
  readonly name: string
  /** Lineages of ours that certbot could not renew: they have to be moved aside before the order. */
  readonly broken: readonly string[]
}

const FILES = ['cert.pem', 'chain.pem', 'fullchain.pem', 'privkey.pem']

/** Names in `live`, by the lineage that they are numbered after; kept as long as the directory does not change. */
const sorted = new WeakMap<readonly string[], ReadonlyMap<string, readonly string[]>>()

/** The lineages that may have a certificate for a domain: ours first, the latest made before the others. */
export function lineagesOf(host: LineageHost, domain: string): readonly Lineage[] {
  const names = host.files.list(`${host.settings.CERTBOT_CONFIG_DIR}/live`)
  const byPlainName = remember(sorted, names, () => Map.groupBy([...names].sort(), plainLineage))
  const plain = lineageNameOf(domain)
  const found = [...new Set([plain, ...(byPlainName.get(plain) ?? [])])].map((name) => ({
    name,
    isOurs: isOurs(host, name),
  }))
  return [...found.filter((lineage) => lineage.isOurs).reverse(), ...found.filter((lineage) => !lineage.isOurs)]
}

/**
 * The lineage that an order for a domain writes: an intact one of ours or, if there is none, the first free name. `isRead` is whether the host's
 * configuration reads a lineage, which then stays as it is, even if it is ours and broken: with an empty `renewal/X.conf` certbot would write
 * the new certificate to another lineage; with a leftover `live/X` it would let the CA issue and fail afterwards.
 */
export function chooseLineage(host: LineageHost, domain: string, isRead: (name: string) => boolean): LineageChoice {
  const intact = lineagesOf(host, domain).find(({ name, isOurs }) => isOurs && isIntact(host, name))
  if (intact !== undefined) return { name: intact.name, broken: [] }
  const broken = presentLineages(host, domain).flatMap(({ name, isOurs }) => (isOurs && !isRead(name) ? [name] : []))
  for (let number = 0; ; number++) {
    const name = numberedLineage(lineageNameOf(domain), number)
    if (broken.includes(name) || placesOf(host, name).length === 0) return { name, broken }
  }
}

/** Every lineage of a domain of which anything is left, even without certificates. */
export function presentLineages(host: LineageHost, domain: string): readonly Lineage[] {
  const { lineage } = readLedger(host, domain)
  const names = new Set(lineagesOf(host, domain).map(({ name }) => name))
  if (lineage !== undefined) names.add(lineage)
  return [...names]
    .filter((name) => placesOf(host, name).length > 0)
    .map((name) => ({ name, isOurs: isOurs(host, name) || (name === lineage && isDamaged(host, name)) }))
}

/** The paths of a lineage in certbot's configuration directory, whether or not they exist. */
export function lineagePaths({ settings }: Pick<Host, 'settings'>, name: string): string[] {
  return [`live/${name}`, `archive/${name}`, `renewal/${name}.conf`].map(
    (place) => `${settings.CERTBOT_CONFIG_DIR}/${place}`,
  )
}

/**
 * Moves everything of a lineage aside, into `broken-lineages/`, where it can be inspected or moved back by hand. Only for a lineage of ours that the
 * host's configuration does not read.
 */
export async function setAsideLineage(
  { files, settings, clock }: Pick<Host, 'files' | 'settings' | 'clock'>,
  domain: string,
  name: string,
): Promise<void> {
  const folder = `${settings.CERTBOT_CONFIG_DIR}/broken-lineages`
  const aside = nextBackup({ files, clock }, folder, lineageNameOf(domain))
  await files.makeFolder(aside, 0o700)
  for (const [i, path] of lineagePaths({ settings }, name).entries())
    if (files.lstat(path) !== undefined) await files.rename(path, `${aside}/${['live', 'archive', 'renewal.conf'][i]}`)
  await pruneBackups({ files }, folder, lineageNameOf(domain))
}

/**
 * Whether a lineage is renewed as our orders have set it up, which certbot keeps in its renewal file: by HTTP-01 over our webroot, with our hook,
 * now or in another state directory. One that its operator has set up otherwise is his.
 */
function isOurs(host: LineageHost, name: string): boolean {
  const { webroot, renewedMark } = host.paths
  const text = readRenewal(host, name)
  // configobj puts a value with a comma or `#` into quotes.
  const value = (key: string) => new RegExp(`^(?:${key}) = (["']?)(.*)\\1$`, 'm').exec(text)?.[2] ?? ''
  if (value('authenticator') !== 'webroot') return false
  const hook = value('renew_hook|deploy_hook')
  const state = /^touch '(\/[^']*)\/renewed'$/.exec(hook)?.[1]
  const webroots = value('webroot_path').split(',')
  return (
    hook === deployHook(renewedMark) ||
    (state !== undefined && (webroots.includes(`${state}/acme`) || webroots.includes(webroot)))
  )
}

/** Whether certbot can renew it. */
function isIntact(host: LineageHost, name: string): boolean {
  const [live = ''] = lineagePaths(host, name)
  return (
    FILES.every((file) => host.files.read(`${live}/${file}`) !== undefined) &&
    placesOf(host, name).length === 3 &&
    !isUnreadable(readRenewal(host, name))
  )
}

/** Whether this is what a crash leaves of a lineage: certbot makes symlinks only, and creates its renewal file empty. */
function isDamaged(host: LineageHost, name: string): boolean {
  const [live = ''] = lineagePaths(host, name)
  const isByHand = FILES.some((file) => host.files.lstat(`${live}/${file}`)?.kind === 'file')
  return isUnreadable(readRenewal(host, name)) && !isByHand
}

function isUnreadable(renewal: string): boolean {
  return !renewal.includes('[renewalparams]')
}

function readRenewal({ files, settings }: LineageHost, name: string): string {
  return files.read(`${settings.CERTBOT_CONFIG_DIR}/renewal/${name}.conf`)?.text ?? ''
}

function placesOf(host: LineageHost, name: string): readonly string[] {
  return lineagePaths(host, name).filter((path) => host.files.lstat(path) !== undefined)
}
