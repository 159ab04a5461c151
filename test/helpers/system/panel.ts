/** Another package on the host, whose listen address every route has to follow. */
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RealHost } from './host.ts'

/** A server block of another package on an address of its own: put in place as one file, or removed. */
export function togglePanel({ nginx }: RealHost): void {
  const path = join(nginx.root, 'conf.d/panel.conf')
  if (existsSync(path)) {
    rmSync(path)
    return
  }
  const temporary = join(nginx.root, 'panel.tmp')
  writeFileSync(
    temporary,
    `server { listen 127.0.0.9:${nginx.httpPort}; server_name panel.example.net; return 204; }\n`,
  )
  renameSync(temporary, path)
}
