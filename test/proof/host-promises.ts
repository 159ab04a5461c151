/** What must hold on a real host at any moment, and once nothing is under way. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
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

/** What NGINX answers for a domain on a new connection: the droplet's name, or `none` without such a route. */
export async function served({ nginx }: RealHost, domain: string): Promise<string> {
  const answer = await through(nginx.httpPort, domain)
  return answer === 'ECONNRESET' ? 'none' : answer
}

/** Whether the API's list of routes and what NGINX serves agree on one route. */
export async function disagreement(host: RealHost, name: string, domain: string): Promise<string[]> {
  const now = await served(host, domain)
  const { status } = await call(host.manager, 'GET', `/proxies/${name}`)
  return status === (now === 'none' ? 404 : 200) ? [] : [`NGINX serves ${name} as ${now}, the API answers ${status}`]
}
