/** What must hold on a real host at any moment, and once nothing is under way. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { type NginxInstance, testNginx } from '../../fixtures/nginx-instance.ts'
import { call, type RealHost, through } from '../helpers/system/host.ts'

/** NGINX's message about what is on disk now, if it does not accept it. */
export function refusedByNginx(nginx: NginxInstance): string[] {
  const { ok, output } = testNginx(nginx)
  return ok && !/conflicting|duplicate/.test(output) ? [] : [`nginx -t: ${output.trim()}`]
}

/** Temporaries, candidates, a journal: a change must leave none of them behind. */
export function leftovers({ root, sitesAvailable, sitesEnabled }: NginxInstance): string[] {
  const hidden = (folder: string, pattern: RegExp) => readdirSync(folder).filter((name) => pattern.test(name))
  const left = [
    ...hidden(sitesAvailable, /^\./),
    ...hidden(sitesEnabled, /^\./),
    ...hidden(root, /^\.proxy-manager-/),
    ...hidden(join(root, 'state'), /^\./),
    ...hidden(join(root, 'state/staging'), /^/),
    ...(existsSync(join(root, 'state/journal')) ? ['the journal'] : []),
  ]
  return left.map((name) => `left behind: ${name}`)
}

/** Which route is looked for. */
export interface Place {
  readonly domain: string
  /** `/` by default. */
  readonly path?: string
  /** What is answered without it: by default nothing, since its domain is unknown then. */
  readonly otherwise?: string
}

/** What NGINX answers for a domain on a new connection: the droplet's name, or `none` without such a route. */
export async function served({ nginx }: RealHost, place: string | Place): Promise<string> {
  const { domain, path, otherwise = 'ECONNRESET' } = typeof place === 'string' ? { domain: place } : place
  const answer = await through(nginx.httpPort, domain, path)
  return answer === otherwise ? 'none' : answer
}

/** Whether the API's list of routes and what NGINX serves agree on one route. */
export async function disagreement(host: RealHost, name: string, place: string | Place): Promise<string[]> {
  const now = await served(host, place)
  const { status } = await call(host.manager, 'GET', `/proxies/${name}`)
  return status === (now === 'none' ? 404 : 200) ? [] : [`NGINX serves ${name} as ${now}, the API answers ${status}`]
}

const EventsPage = v.object({
  last_id: v.number(),
  events: v.array(
    v.object({ type: v.string(), droplet_name: v.optional(v.string()), generation: v.optional(v.number()) }),
  ),
})

async function readEvents({ manager }: RealHost, query: string) {
  return v.parse(EventsPage, (await call(manager, 'GET', `/events?${query}`)).body)
}

/** The id of the last event. */
export async function lastEvent(host: RealHost): Promise<number> {
  return (await readEvents(host, 'limit=1')).last_id
}

/** A change of a route since that event has one event, with one of its reload; a change that was not made has none. */
export async function eventFaults(
  host: RealHost,
  name: string,
  after: number,
  type: string | undefined,
): Promise<string[]> {
  const { events } = await readEvents(host, `after=${after}&limit=1000`)
  const own = events.filter((one) => one.droplet_name === name && /^route\.(created|replaced|deleted)$/.test(one.type))
  const types = own.map((one) => one.type).join(' ')
  const reloads = events.filter((one) => one.type === 'nginx.reloaded' && one.generation === own[0]?.generation)
  return [
    ...(types === (type ?? '') ? [] : [`the events are "${types}" instead of "${type ?? ''}"`]),
    ...(own.length === reloads.length ? [] : [`${reloads.length} events of the reload`]),
  ]
}
