/** Which certificate a route is given, of those that are there: what its caller has chosen, or what fits it best. */
import {
  type CertificateSummary,
  type Checked,
  type CheckedCertificate,
  checkedFor,
  isBorrowable,
} from '../certificates/certificate.ts'
import { coversAll, coversName, wildcardFor } from '../certificates/coverage.ts'
import { lineagesOf } from '../certificates/lineage.ts'
import type { Host } from '../host/host.ts'
import { asUploaded, uploadedFolder } from './uploads.ts'
import type { CertificateWish } from './wish.ts'

/** The certificate for a wish, with its source; `undefined` if there is none. `{ fault }` only of one that its caller has chosen. */
export type Chooser = (wish: CertificateWish) => Checked | undefined

type ChoiceHost = Pick<Host, 'files' | 'paths' | 'settings' | 'clock'>
type ReadFolder = (folder: string) => Checked | undefined

/**
 * Makes a chooser. Without a choice of the caller's, the certificate is, in this order: that of a lineage of ours for the domain; of another
 * lineage that covers all names, with more than a sixth of its life left, by their names before by a wildcard; of another one that is named like
 * the domain; the newest copy, which has no source.
 */
export function chooser(host: ChoiceHost, readFolder: ReadFolder): Chooser {
  const { files, paths, settings } = host
  const live = `${settings.CERTBOT_CONFIG_DIR}/live`
  let borrowable: ReturnType<typeof borrowableLineages> | undefined
  const usable = (folder: string, domain: string): CheckedCertificate | undefined => {
    const found = readFolder(folder)
    const checked = found === undefined ? undefined : checkedFor(found, domain)
    return checked === undefined || 'fault' in checked ? undefined : checked
  }
  const newestCopy = (domain: string): CheckedCertificate | undefined => {
    const [newest] = files
      .list(`${paths.certificates}/${domain}`)
      .flatMap((name) => usable(`${paths.certificates}/${domain}/${name}`, domain) ?? [])
      .sort((a, b) => b.summary.not_before.localeCompare(a.summary.not_before))
    return newest && { ...newest, isCopy: true }
  }
  return (wish) => {
    if (wish.from !== null) return chosen(host, readFolder, wish)
    const { names } = wish
    const [domain = ''] = names
    const lineages = lineagesOf(host, domain)
    for (const { name, isOurs } of lineages) {
      const own = isOurs ? usable(`${live}/${name}`, domain) : undefined
      if (own !== undefined) return own
    }
    borrowable ??= borrowableLineages(host, readFolder)
    const others = lineages.flatMap(({ name, isOurs }) => (isOurs ? [] : [name]))
    const borrowed = borrowable(names, others)
    if (borrowed !== undefined) return borrowed
    for (const lineage of others) {
      const named = usable(`${live}/${lineage}`, domain)
      if (named !== undefined) return withSource(named, { lineage })
    }
    return newestCopy(domain)
  }
}

/** What the caller has chosen, or why it may not be served: unlike one of our choice, it has to cover every name. */
function chosen(host: ChoiceHost, readFolder: ReadFolder, { names, from, uploaded }: CertificateWish): Checked {
  if (from === null) return { fault: 'no certificate was chosen' }
  const found =
    'lineage' in from
      ? readLineage(host, readFolder, from.lineage)
      : (uploaded ?? readUploaded(host, readFolder, from.name))
  if ('fault' in found) return found
  const uncovered = names.filter((name) => !coversName(found.summary.domains, name))
  return uncovered.length === 0 ? found : { fault: `it does not cover ${uncovered.join(', ')}` }
}

function readLineage({ settings }: ChoiceHost, readFolder: ReadFolder, lineage: string): Checked {
  const found = readFolder(`${settings.CERTBOT_CONFIG_DIR}/live/${lineage}`)
  if (found === undefined) return { fault: `certbot has no lineage ${lineage}` }
  return 'fault' in found ? found : withSource(found, { lineage })
}

/** The current certificate of a name, or why there is none. */
export function readUploaded(host: ChoiceHost, readFolder: ReadFolder, name: string): Checked {
  const folder = uploadedFolder(host, name)
  if (folder === undefined) return { fault: `no certificate was uploaded as ${name}` }
  const found = readFolder(folder) ?? { fault: 'its files are missing' }
  return 'fault' in found ? found : asUploaded(found, name)
}

interface Borrowable {
  readonly lineage: string
  readonly checked: CheckedCertificate
}

/** Reads every lineage once. What is returned finds one that covers all names; `preferred` are lineages that come first if they do. */
function borrowableLineages({ files, settings, clock }: ChoiceHost, readFolder: ReadFolder) {
  const live = `${settings.CERTBOT_CONFIG_DIR}/live`
  const byName = new Map<string, Borrowable[]>()
  for (const lineage of [...files.list(live)].sort()) {
    const checked = readFolder(`${live}/${lineage}`)
    if (checked === undefined || 'fault' in checked || !isBorrowable(checked.summary, clock.nowMs())) continue
    for (const name of new Set(checked.summary.domains.map((domain) => domain.toLowerCase())))
      byName.set(name, [...(byName.get(name) ?? []), { lineage, checked }])
  }
  return (names: readonly string[], preferred: readonly string[]): CheckedCertificate | undefined => {
    const [domain = ''] = names
    const fitting = [domain, wildcardFor(domain)]
      .flatMap((name) => byName.get(name) ?? [])
      .filter(({ checked }) => coversAll(checked.summary.domains, names))
    const isExact = ({ checked }: Borrowable) => names.every((name) => checked.summary.domains.includes(name))
    const best = fitting.find(({ lineage }) => preferred.includes(lineage)) ?? fitting.find(isExact) ?? fitting[0]
    return best === undefined ? undefined : withSource(best.checked, { lineage: best.lineage })
  }
}

function withSource(checked: CheckedCertificate, source: CertificateSummary['source']): CheckedCertificate {
  return { ...checked, summary: { ...checked.summary, source } }
}
