/** Deletes the lineage and the copies of a domain. */

import { deleteArguments } from '../certificates/certbot-arguments.ts'
import { setAsideLineage } from '../certificates/lineage.ts'
import { lineageNameOf } from '../certificates/lineage-name.ts'
import type { ChangeContext } from '../change/context.ts'
import { logFailure } from '../host/log-failure.ts'

const DELETE_TIMEOUT_MS = 20_000

/**
 * Deletes the lineage of a domain and every copy of its certificates, unless a route has that domain (again): NGINX would not start without
 * them. To be called while no change is applied. What certbot cannot delete is moved aside. Returns whether nothing is left in place.
 */
export async function deleteCertificateFiles({ host, observe }: ChangeContext, domain: string): Promise<boolean> {
  const { files, settings, paths, runner, log } = host
  const { CERTBOT_BIN, CERTBOT_CONFIG_DIR: configDir, CERTBOT_WORK_DIR: workDir, CERTBOT_LOGS_DIR: logsDir } = settings
  const name = lineageNameOf(domain)
  const isLeft = () =>
    files.lstat(`${configDir}/renewal/${name}.conf`) !== undefined ||
    files.lstat(`${configDir}/live/${name}`) !== undefined
  try {
    const { routes } = (await observe([])).snapshot
    if ([...routes.values()].some(({ record }) => record.domain === domain)) return false
    if (isLeft())
      await runner.run(CERTBOT_BIN, deleteArguments({ domain, configDir, workDir, logsDir }), {
        timeoutMs: DELETE_TIMEOUT_MS,
      })
    if (isLeft()) await setAsideLineage(host, domain)
    await files.removeFolder(`${paths.certificates}/${domain}`)
    return true
  } catch (error) {
    logFailure({ log }, 'error', { action: 'delete_certificate', domain })(error)
    return false
  }
}
