/** NGINX never reads certbot's own files, which change one after another and can be torn: it reads copies that were checked. */
import type { BatchPlan } from '../core/plan.ts'
import { type Host, statePaths, writeFailure } from './host.ts'

/**
 * Copies the certificates of a plan to `<state>/certificates/<domain>/<fingerprint>/`: complete, root's alone, never changed again.
 * @throws {ProxyManagerError} CONFIG_WRITE_FAILED
 */
export async function copyCertificates(host: Host, plan: BatchPlan): Promise<void> {
  for (const [domain, { summary, fullchain, privkey }] of plan.certificates) {
    const parent = `${statePaths(host.settings).certificates}/${domain}`
    const folder = `${parent}/${summary.fingerprint_sha256}`
    const isCopied = (name: string, text: string) => host.files.read(`${folder}/${name}`)?.text === text
    if (isCopied('fullchain.pem', fullchain) && isCopied('privkey.pem', privkey)) continue
    try {
      await host.files.remove(folder)
      await host.files.makeFolder(parent, 0o700)
      await host.files.makeFolder(folder, 0o700)
      await host.files.write(`${folder}/fullchain.pem`, fullchain, 0o600)
      await host.files.write(`${folder}/privkey.pem`, privkey, 0o600)
      await host.files.syncFolder(folder)
      await host.files.syncFolder(parent)
    } catch (error) {
      throw writeFailure(error)
    }
  }
}
