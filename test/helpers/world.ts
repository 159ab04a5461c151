/** What must hold on a fake host at all times, and the few calls that these tests make. */
import * as assert from 'uvu/assert'
import { type FakeDeps, type FakeOptions, fakeDeps } from '../../fixtures/deps.ts'
import { enabledTexts } from '../../fixtures/fake-nginx.ts'
import type { DeletedProxy, PutRequest, RouteChanged } from '../../lib/engine/engine.ts'
import type { LoggedEvent } from '../../lib/events/event.ts'
import { readSharedFile } from '../../lib/render/shared-file.ts'
import { isOwnFileName } from '../../lib/route/droplet-name.ts'
import { readRouteFile } from '../../lib/route/stored-route.ts'
import { upstreamOf } from '../../lib/upstream/upstream.ts'

const AVAILABLE = '/etc/nginx/sites-available/'
const ENABLED = '/etc/nginx/sites-enabled/'

/** A host with one route, `old`, that must stay served whatever happens to others. */
export async function worldWithRoute(options: FakeOptions = {}): Promise<FakeDeps> {
  const deps = await fakeDeps(options)
  await put(deps, 'old', 'old.example.com', 8001)
  await deps.engine.idle()
  return deps
}

/** The same host with a new process: what a restart after a hard stop finds. */
export async function restarted({ disk, nginx, host: { metrics } }: FakeDeps): Promise<FakeDeps> {
  const deps = await fakeDeps({ disk, nginx, metrics })
  await deps.engine.recover()
  return deps
}

export async function put(
  deps: FakeDeps,
  dropletName: string,
  domain: string,
  port: number,
  require_healthy = true,
  path?: string,
): Promise<RouteChanged> {
  const site = { domain, ...(path === undefined ? {} : { path }) }
  const spec = { ...site, upstream_host: 'localhost', upstream_port: port, require_healthy, enable_ssl: false }
  return await deps.engine.putProxy({ dropletName, spec, mode: 'replace', precondition: {} })
}

export async function remove(deps: FakeDeps, dropletName: string): Promise<DeletedProxy> {
  return await deps.engine.deleteProxy({ dropletName, precondition: {}, deleteCertificate: false })
}

/** The port to which NGINX proxies a domain now; `undefined` if it serves no such name. */
export function servedPort({ nginx }: FakeDeps, domain: string): number | undefined {
  const text = [...nginx.loaded.values()].find((loaded) => loaded.includes(`server_name ${domain};`))
  const port = /server 127\.0\.0\.1:(\d+)/.exec(text ?? '')?.[1]
  return port === undefined ? undefined : Number(port)
}

/** The port to which NGINX proxies a path of a domain, for which there is a mount; `undefined` if there is none. */
export function mountedPort({ nginx }: FakeDeps, domain: string, path: string): number | undefined {
  const texts = [...nginx.loaded.values()]
  const block = texts.find((text) => text.includes(`server_name ${domain};`))?.split(`location = ${path} {`)[1]
  const name = /proxy_pass http:\/\/([^/;]+)/.exec(block ?? '')?.[1]
  const port = texts
    .join('')
    .split(`upstream ${name} {`)[1]
    ?.match(/server 127\.0\.0\.1:(\d+)/)?.[1]
  return port === undefined ? undefined : Number(port)
}

/** Texts of the two directories by path, symlinks as their targets. */
export function filesOf({ disk }: FakeDeps): Map<string, string> {
  const files = new Map<string, string>()
  for (const [path, entry] of disk) {
    if (!path.startsWith(AVAILABLE) && !path.startsWith(ENABLED)) continue
    if (entry.kind === 'file') files.set(path, entry.file.text)
    if (entry.kind === 'link') files.set(path, `-> ${entry.target}`)
  }
  return files
}

/** A request to put a route that wants a healthy upstream. */
export function putRequest(dropletName: string, domain: string, port: number, ssl = false): PutRequest {
  const spec = { domain, upstream_host: 'localhost', upstream_port: port, require_healthy: true, enable_ssl: ssl }
  return { dropletName, spec, mode: 'replace', precondition: {} }
}

/** The routes' files of the two directories, without the shared one, whose generation changes. */
export function routeFilesOf(deps: FakeDeps): [string, string][] {
  return [...filesOf(deps)].filter(([path]) => path.includes('fpai-')).sort()
}

/** Name (without its time), text and mode of every backup. */
export function backupsOf({ disk }: FakeDeps): [string, string, number][] {
  const folder = '/var/lib/proxy-manager/backups/'
  return [...disk].flatMap(([path, entry]) =>
    path.startsWith(folder) && entry.kind === 'file'
      ? [[path.slice(folder.length).replace(/\.\d+$/, ''), entry.file.text, entry.mode]]
      : [],
  )
}

/** The lines of the log of events; what a line is for nobody, such as the rest of a torn one, is not among them. */
export function eventsOf({ disk }: FakeDeps): readonly LoggedEvent[] {
  const segments = [...disk].filter(([path]) => path.startsWith('/var/lib/proxy-manager/events/')).sort()
  return segments.flatMap(([, entry]) => {
    const lines = entry.kind === 'file' ? entry.file.text.split('\n') : []
    return lines.filter((line) => line !== '').map((line): LoggedEvent => JSON.parse(line))
  })
}

/** Ids grow, no event is there twice, and the events of the routes, taken together, are the routes on disk. */
export function assertEventsMatch(deps: FakeDeps, what = ''): void {
  const events = eventsOf(deps)
  for (const [i, { id }] of events.entries()) assert.ok(id > (events[i - 1]?.id ?? 0), `${what}: ids do not grow`)
  const keys = events.map(({ id: _, ...event }) => JSON.stringify(event))
  assert.is(new Set(keys).size, keys.length, `${what}: an event is there twice`)
  const said = new Map<string, string>()
  for (const { type, droplet_name = '', domain, details } of events) {
    if (type === 'route.deleted') said.delete(droplet_name)
    if (type === 'route.renamed') said.delete(String(details.former_name))
    if (/^route\.(created|replaced|renamed|rolled_back)$|^certificate\.renewed$/.test(type))
      said.set(droplet_name, `${domain} ${details.upstream} ${details.expiry}`)
  }
  const onDisk = [...enabledTexts(deps.disk)].flatMap(([name, text]): [string, string][] => {
    const record = name.startsWith('fpai-') ? readRouteFile(name.slice(5, -5), text)?.record : undefined
    if (record === undefined) return []
    const { droplet_name, domain, certificate } = record
    return [[droplet_name, `${domain} ${upstreamOf(record)?.url ?? null} ${certificate?.expiry}`]]
  })
  assert.equal([...said].sort(), onDisk.sort(), `${what}: the events do not say what is on disk`)
}

/**
 * No temporary, no journal, no dangling link; every file matches its checksum; what NGINX serves is what is on disk, generation included, and
 * every certificate that it reads is there.
 */
export function assertInvariant(deps: FakeDeps, what = ''): void {
  const onDisk = enabledTexts(deps.disk)
  for (const [name, text] of onDisk) {
    if (!isOwnFileName(name)) continue
    const isIntact = name.startsWith('fpai-')
      ? readRouteFile(name.slice(5, -5), text)?.drifted === false
      : readSharedFile(text)?.intact === true
    assert.ok(isIntact, `${what}: ${name} does not match its checksum`)
    for (const [, path = ''] of text.matchAll(/ssl_certificate(?:_key)? (\S+);/g))
      assert.ok(deps.disk.has(path), `${what}: ${name} names a certificate that is not there`)
  }
  assert.equal([...deps.nginx.loaded], [...onDisk], `${what}: NGINX serves something else than what is on disk`)
  const leftovers = [...deps.disk.keys()].filter(
    (path) =>
      /\.pm-(tmp|undo)$/.test(path) ||
      path.includes('/.proxy-manager-') ||
      path.startsWith('/var/lib/proxy-manager/staging/'),
  )
  assert.equal(leftovers, [], `${what}: left behind`)
  assert.not.ok(deps.disk.has('/var/lib/proxy-manager/journal'), `${what}: the journal is left`)
}
