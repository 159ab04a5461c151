/** The plain way to change a route: what a script does. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { NGINX_BIN, type NginxInstance } from '../../fixtures/nginx-instance.ts'
import { domainOf } from './managed-host.ts'
import type { Scheme } from './options.ts'

/** The route that the script changes. */
export const PLAIN = 'plain'

/** Writes the server block, then `nginx -t`, then `nginx -s reload`; fails if one of them fails. */
export async function changePlainly(nginx: NginxInstance, scheme: Scheme, upstreamPort: number): Promise<void> {
  writeFileSync(join(nginx.root, 'conf.d', 'plain.conf'), serverBlock(nginx, scheme, upstreamPort))
  await run(['-t', '-c', nginx.conf])
  await run(['-s', 'reload', '-c', nginx.conf])
}

function serverBlock(nginx: NginxInstance, scheme: Scheme, upstreamPort: number): string {
  const live = `${nginx.environment.CERTBOT_CONFIG_DIR}/live/${domainOf(PLAIN)}`
  const listen =
    scheme === 'http'
      ? `listen ${nginx.httpPort};`
      : `listen ${nginx.httpsPort} ssl; ssl_certificate ${live}/fullchain.pem; ssl_certificate_key ${live}/privkey.pem;`
  return `server { ${listen} server_name ${domainOf(PLAIN)}; location / { proxy_pass http://127.0.0.1:${upstreamPort}; } }\n`
}

async function run(args: readonly string[]): Promise<void> {
  const [exitCode] = await once(spawn(NGINX_BIN, args, { stdio: 'ignore' }), 'exit')
  if (exitCode !== 0) throw new Error(`nginx ${args.join(' ')} ended with ${exitCode}`)
}
