/** A real host, and its own real CA. */
import { join } from 'node:path'
import { type Pebble, type PebbleOptions, startPebble } from '../../../fixtures/acme/pebble.ts'
import { createNginx } from '../../../fixtures/nginx-instance.ts'
import { type RealHost, startHost } from './host.ts'

export interface HostWithCa {
  readonly host: RealHost
  readonly pebble: Pebble
  /** The root under which the CA has issued since its last start, as PEM. */
  readonly root: string
  /** The port of a droplet. */
  readonly port: number
  readonly close: () => Promise<void>
}

/** Starts both, and a droplet; `close` ends all of it and removes every trace. */
export async function startHostWithCa(
  environment: Readonly<Record<string, string>> = {},
  options: Partial<PebbleOptions> = {},
): Promise<HostWithCa> {
  const nginx = await createNginx()
  const { root, httpPort, httpsPort } = nginx
  const pebble = await startPebble({ httpPort, folder: join(root, 'pebble'), ...options }).catch(async (error) => {
    await nginx.remove()
    throw error
  })
  const settings = { ...pebble.environment, ...certbotFolders(root), ...environment }
  const host = await startHost({ root, httpPort, httpsPort }, settings).catch(async (error) => {
    await pebble.close()
    throw error
  })
  const close = async () => {
    await host.close()
    await pebble.close()
  }
  return { host, pebble, root: await pebble.root(), port: (await host.droplet('app')).port, close }
}

/** Where certbot works and logs, below the host's directory: two certbots that share these would wait for each other. */
export function certbotFolders(root: string): Readonly<Record<string, string>> {
  return { CERTBOT_WORK_DIR: join(root, 'work'), CERTBOT_LOGS_DIR: join(root, 'certbot-logs') }
}
