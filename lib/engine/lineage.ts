/** certbot's own folders for one lineage, and what a crash or a careless hand leaves in them. */
import { deleteArguments } from '../core/certbot-command.ts'
import { lineageNameOf } from '../core/lineage-name.ts'
import { type Host, statePaths } from './host.ts'
import { keepNewest } from './keep-newest.ts'
import type { Walk } from './walk.ts'

const FILES = ['cert.pem', 'chain.pem', 'fullchain.pem', 'privkey.pem']

/**
 * Moves a lineage that certbot could not renew out of its way, into `broken-lineages/` beside it. With an empty `renewal/X.conf` certbot puts
 * the new certificate into `X-0001`, where nobody reads it; with a leftover `live/X` it lets the CA issue and fails afterwards.
 * Returns whether there was one.
 */
export async function setAsideBrokenLineage({ files, settings, clock }: Host, domain: string): Promise<boolean> {
  const root = settings.CERTBOT_CONFIG_DIR
  const name = lineageNameOf(domain)
  const places = [`live/${name}`, `archive/${name}`, `renewal/${name}.conf`]
  const present = places.filter((place) => files.look(`${root}/${place}`) !== undefined)
  if (present.length === 0) return false
  const renewal = files.read(`${root}/renewal/${name}.conf`)?.text ?? ''
  const isComplete = FILES.every((file) => files.read(`${root}/live/${name}/${file}`) !== undefined)
  if (isComplete && renewal.includes('[renewalparams]') && present.length === places.length) return false
  await setAsideLineage({ files, settings, clock }, domain)
  return true
}

/** Moves all there is of a lineage aside; it can be looked at, or moved back, by hand. */
async function setAsideLineage(
  { files, settings, clock }: Pick<Host, 'files' | 'settings' | 'clock'>,
  domain: string,
): Promise<void> {
  const root = settings.CERTBOT_CONFIG_DIR
  const name = lineageNameOf(domain)
  const aside = `${root}/broken-lineages/${name}.${clock.nowMs()}`
  await files.makeFolder(aside, 0o700)
  for (const [from, to] of [
    [`live/${name}`, 'live'],
    [`archive/${name}`, 'archive'],
    [`renewal/${name}.conf`, 'renewal.conf'],
  ]) {
    if (files.look(`${root}/${from}`) !== undefined) await files.rename(`${root}/${from}`, `${aside}/${to}`)
  }
  await keepNewest({ files }, `${root}/broken-lineages`, name)
}

const DELETE_TIMEOUT_MS = 20_000

/**
 * Deletes the lineage of a domain and every copy of it, unless a route has (or has got again) that domain: NGINX would not start without what
 * it reads. To be called while no change is applied. certbot does it where it can; what it cannot read is moved aside.
 * Returns whether nothing of it is left in place.
 */
export async function deleteCertificateOf({ host, observe }: Walk, domain: string): Promise<boolean> {
  const { files, settings, runner, log } = host
  const { CERTBOT_BIN, CERTBOT_CONFIG_DIR: configDir, CERTBOT_WORK_DIR: workDir, CERTBOT_LOGS_DIR: logsDir } = settings
  const name = lineageNameOf(domain)
  const isLeft = () =>
    files.look(`${configDir}/renewal/${name}.conf`) !== undefined ||
    files.look(`${configDir}/live/${name}`) !== undefined
  try {
    const { routes } = (await observe([])).snapshot
    if ([...routes.values()].some(({ record }) => record.domain === domain)) return false
    if (isLeft())
      await runner.run(CERTBOT_BIN, deleteArguments({ domain, configDir, workDir, logsDir }), {
        timeoutMs: DELETE_TIMEOUT_MS,
      })
    if (isLeft()) await setAsideLineage(host, domain)
    await files.remove(`${statePaths(settings).certificates}/${domain}`)
    return true
  } catch (error) {
    log.write('error', {
      action: 'delete_certificate',
      result: 'failed',
      domain,
      error: error instanceof Error ? error.message : String(error),
    })
    return false
  }
}
