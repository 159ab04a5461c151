/** Deletes the lineages and the copies of a domain. */

import { startCertbot } from '../certbot/start.ts'
import { deleteArguments } from '../certificates/certbot-arguments.ts'
import { lineagePaths, presentLineages, setAsideLineage } from '../certificates/lineage.ts'
import type { ChangeContext } from '../change/context.ts'
import { logFailure } from '../host/log-failure.ts'
import { usedCertificates } from '../route/names.ts'
import type { RouteRecord } from '../route/record.ts'
import { lineageReaders } from './lineage-use.ts'

const DELETE_TIMEOUT_MS = 20_000

/**
 * Deletes every lineage of ours for the domain of a route that was deleted, and every copy of its certificates, unless a route has that domain
 * (again): NGINX would not start without them. A lineage that we did not make stays, and so does what the host's configuration reads, or another
 * route is served with, and an uploaded certificate. To be called while no change is applied. What
 * certbot cannot delete is moved aside. Returns why anything is left in place; `undefined` if nothing is.
 */
export async function deleteCertificateFiles(
  context: ChangeContext,
  deleted: RouteRecord,
): Promise<string | undefined> {
  const { host, observe } = context
  const { files, paths, log } = host
  const { domain } = deleted
  try {
    const { routes } = (await observe([])).snapshot
    const route = [...routes.values()].find(({ record }) => record.domain === domain)
    if (route !== undefined) return `route ${route.record.droplet_name} has this domain`
    const readerOf = await lineageReaders(context)
    const present = presentLineages(host, domain)
    const kept = [...usedCertificates(deleted)].flatMap((used) => {
      const [kind, name] = used.split(' ')
      if (kind === 'name') return [`${name} was uploaded: DELETE /certificates/${name} deletes it`]
      return present.some((lineage) => lineage.name === name) ? [] : [`certbot's lineage ${name} is not of this domain`]
    })
    const userOf = (lineage: string) =>
      [...routes.values()].find(({ record }) => usedCertificates(record).has(`lineage ${lineage}`))?.record.droplet_name
    for (const { name, isOurs } of present) {
      const reader = readerOf(name)
      if (!isOurs) kept.push(`certbot's lineage ${name} was not made by Proxy Manager`)
      else if (reader !== undefined) kept.push(`certbot's lineage ${name} is read by ${reader}`)
      else if (userOf(name) !== undefined) kept.push(`certbot's lineage ${name} is used by route ${userOf(name)}`)
      else await deleteLineage(context, domain, name)
    }
    await files.removeFolder(`${paths.certificates}/${domain}`)
    return kept.length === 0 ? undefined : kept.join('; ')
  } catch (error) {
    logFailure({ log }, 'error', { action: 'delete_certificate', domain })(error)
    return 'it could not be deleted: see the log'
  }
}

async function deleteLineage({ host }: ChangeContext, domain: string, name: string): Promise<void> {
  const { files, settings } = host
  const { CERTBOT_CONFIG_DIR: configDir, CERTBOT_WORK_DIR: workDir, CERTBOT_LOGS_DIR: logsDir } = settings
  const [live = '', , renewal = ''] = lineagePaths(host, name)
  const isLeft = () => files.lstat(renewal) !== undefined || files.lstat(live) !== undefined
  if (isLeft())
    await startCertbot(host, deleteArguments({ lineage: name, configDir, workDir, logsDir }), {
      timeoutMs: DELETE_TIMEOUT_MS,
    })
  if (isLeft()) await setAsideLineage(host, domain, name)
}
