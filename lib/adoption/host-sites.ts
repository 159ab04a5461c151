/** The hand-written sites of this host, each with its verdict. */
import type { ChangeContext } from '../change/context.ts'
import { ProxyManagerError } from '../errors.ts'
import type { CertificateStore } from '../keyring/store.ts'
import { publicOutput } from '../nginx/config/diagnostic.ts'
import { dropletOfFileName } from '../route/droplet-name.ts'
import type { Finding } from '../sites/findings.ts'
import { type JudgedSite, judgeSite, placeOf } from '../sites/judge.ts'
import type { SiteCertificate } from '../sites/routes.ts'
import { readSites } from '../sites/site-files.ts'

type Names = Readonly<Record<string, string>>

/**
 * Reads and judges them; `names` are droplet names by domain, with the path after it if that is not `/`.
 * @throws {ProxyManagerError} CONFIG_READ_FAILED
 */
export async function hostSites(context: ChangeContext, names: Names = {}): Promise<readonly JudgedSite[]> {
  const { host, certificates } = context
  const { snapshot, tree } = await context.observe([])
  const known = new Set(snapshot.host.files)
  const found = readSites(snapshot.host.mainPath, tree, (path) => !known.has(path))
  const facts = {
    ports: { http: snapshot.context.httpPort, https: snapshot.context.httpsPort },
    publicPorts: { http: snapshot.context.publicHttpPort, https: snapshot.context.publicHttpsPort },
    certificateOf: siteCertificate(certificates, host.settings.CERTBOT_CONFIG_DIR),
    dropletOf: ({ path }: { readonly path: string }) => {
      const name = path.slice(path.lastIndexOf('/') + 1)
      return path === `${snapshot.sitesEnabled}/${name}` ? dropletOfFileName(name) : undefined
    },
  }
  return found.files.map((site) => judgeSite(site, found, facts, names))
}

/** A route keeps the lineage of its block: by itself, or chosen if it would be given another one. */
function siteCertificate(certificates: CertificateStore, certbotFolder: string): SiteCertificate {
  const choose = certificates.look()
  return ({ args: [path = ''] }, names) => {
    const [folder = '', file = ''] = [path.slice(0, path.lastIndexOf('/')), path.slice(path.lastIndexOf('/') + 1)]
    const lineage = folder.slice(folder.lastIndexOf('/') + 1)
    if (folder !== `${certbotFolder}/live/${lineage}` || !/^(fullchain|cert)\.pem$/.test(file))
      return { fault: 'the certificate is none of certbot' }
    const there = choose({ names, from: { lineage } })
    if (there === undefined || 'fault' in there)
      return { fault: `lineage ${lineage}: ${there?.fault ?? 'there is none'}` }
    const own = choose({ names, from: null })
    const isSame =
      own !== undefined && !('fault' in own) && own.summary.fingerprint_sha256 === there.summary.fingerprint_sha256
    return { choice: isSame ? undefined : { lineage } }
  }
}

/**
 * The site of a name, if routes may take its place.
 * @throws {ProxyManagerError} SITE_NOT_ADOPTABLE; INVALID_REQUEST if a name is for a route that it does not have
 */
export async function adoptableSite(
  context: ChangeContext,
  { file, names, acceptsDifferences }: Wanted,
): Promise<JudgedSite> {
  const found = (await hostSites(context, names)).find(({ site }) => site.name === file)
  if (found === undefined)
    throw notAdoptable([], {
      message: 'There is no hand-written site of this name',
      remedy: 'Pass a file of GET /host/sites as it is there',
    })
  if (found.verdict === 'refused') throw notAdoptable(found.refusals)
  if (found.verdict === 'adoptable_with_differences' && !acceptsDifferences)
    throw notAdoptable(found.differences, {
      message: 'Routes serve this file with differences',
      remedy: 'If they are wanted, call again with "accept_differences": true',
    })
  const places = found.routes.map(placeOf)
  const unknown = Object.keys(names).filter((place) => !places.includes(place))
  if (unknown.length === 0) return found
  const message = `is none of its routes: ${places.join(', ')}`
  const issues = unknown.map((place) => ({ path: `droplet_names.${place}`, message }))
  throw new ProxyManagerError('INVALID_REQUEST', { details: { issues } })
}

interface Wanted {
  readonly file: string
  readonly names: Names
  readonly acceptsDifferences: boolean
}

/** The error if routes cannot take the place of a site. */
export function notAdoptable(
  findings: readonly Finding[],
  { message, remedy }: { readonly message?: string; readonly remedy?: string } = {},
): ProxyManagerError {
  const shown = findings.map(({ file, directive, ...finding }) => ({
    file: publicOutput(file),
    ...finding,
    directive: publicOutput(directive),
  }))
  return new ProxyManagerError('SITE_NOT_ADOPTABLE', {
    ...(message === undefined ? {} : { message }),
    details: { findings: shown, ...(remedy === undefined ? {} : { remedy }) },
  })
}
