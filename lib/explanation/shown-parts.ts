/** The parts of an explanation that are about files: the server block, the route in it, and the certificate. */
import { basename, dirname } from 'node:path'
import { readCertificate } from '../certificates/certificate.ts'
import type { Host } from '../host/host.ts'
import { isBelow, isMounted, pathOf } from '../net/path.ts'
import { isSameFolder } from '../nginx/config/include.ts'
import { listenArgument } from '../nginx/config/listen.ts'
import { SHARED_FILE } from '../route/droplet-name.ts'
import { siteOf } from '../route/site.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import { nameOf } from '../sites/site-files.ts'
import type { Observation } from '../snapshot/observe.ts'
import { type Answerer, routeIn } from './answerers.ts'
import type { BlockKind, PresentedCertificate, ShownBlock } from './explanation.ts'
import { certificateFiles, type PlacedDirective } from './server-blocks.ts'

/** The file, with the name that it has in the list of sites, and the line. */
export function placeOf({ snapshot }: Observation, { path, line }: PlacedDirective) {
  return { file: nameOf(path, snapshot.host.mainPath), line }
}

/** A server block. Its text is shown only if Proxy Manager wrote it, and nobody has edited it. */
export function shownBlock(observation: Observation, answerer: Answerer): ShownBlock {
  const { block, matchedBy, socket } = answerer
  const { path, start, end } = block.at
  const isWritten = isShared(observation, path) || routeIn(observation, path)?.drifted === false
  return {
    kind: kindOf(observation, answerer),
    ...placeOf(observation, block.at),
    listen: listenArgument(socket.listen),
    matched_by: matchedBy,
    names: [...block.names],
    text: isWritten ? (observation.tree.read(path)?.text.slice(start, end) ?? null) : null,
  }
}

export function kindOf(observation: Observation, { block, matchedBy }: Answerer): BlockKind {
  if (isShared(observation, block.at.path)) return 'shared'
  if (matchedBy === 'default_server' || matchedBy === 'first') return 'default_server'
  return routeIn(observation, block.at.path) === undefined ? 'hand_written' : 'route'
}

/** The shared file as it was written. */
function isShared({ snapshot, tree }: Observation, path: string): boolean {
  const isNamed = snapshot.shared !== undefined && basename(path) === SHARED_FILE
  return isNamed && isSameFolder(dirname(path), snapshot.sitesEnabled, tree)
}

/** The route that gets a path, of those whose domain has its server blocks in this file: the one with the longest path. */
export function routeOf(observation: Observation, { block }: Answerer, path: string): SnapshotRoute | undefined {
  const owner = routeIn(observation, block.at.path)
  const site = owner === undefined ? [] : siteOf(observation.snapshot.routes.values(), owner.record.domain)
  return site
    .filter(({ record, enabled }) => enabled && (!isMounted(record) || isBelow(path, pathOf(record))))
    .sort((a, b) => pathOf(b.record).length - pathOf(a.record).length)[0]
}

/** The certificates of a block, without their sources; `undefined` if one of their files cannot be read. */
export function certificatesOf(
  { files }: Pick<Host, 'files'>,
  { snapshot }: Observation,
  { presenter }: Answerer,
): readonly Omit<PresentedCertificate, 'source'>[] | undefined {
  const read = certificateFiles(presenter, snapshot.host.mainPath)?.map((path) => {
    try {
      return readCertificate(files.read(path)?.text ?? '')
    } catch {
      // It may be for root only.
      return undefined
    }
  })
  const found = read?.flatMap((one) => one ?? []) ?? []
  if (read === undefined || found.length < read.length) return undefined
  return found.map(({ domains, issuer, expiry, fingerprint_sha256 }) => ({
    domains,
    issuer,
    expiry,
    fingerprint_sha256,
  }))
}
