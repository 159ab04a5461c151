/** A Registry whose droplets change with each sync that a storm makes. */
import type { Droplet } from '../../../fixtures/droplet.ts'
import { startServer } from '../../../fixtures/loopback-server.ts'
import { type Answer, call, type RealHost } from './host.ts'

export interface StormRegistry {
  readonly url: string
  readonly names: readonly string[]
  list(droplets: readonly unknown[]): void
  close(): void
}

/** Names that no other caller of the storm uses. */
const NAMES = ['listed-0', 'listed-1', 'listed-2', 'listed-3', 'listed-4']

export async function startRegistry(): Promise<StormRegistry> {
  let listed: readonly unknown[] = []
  const { url, close } = await startServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(listed))
  })
  return {
    url,
    names: NAMES,
    list: (droplets) => {
      listed = droplets
    },
    close,
  }
}

/** Lists other droplets, leaves one of them out, and has the API sync its routes. */
export function syncOnce(
  { manager }: RealHost,
  registry: StormRegistry,
  droplets: readonly Droplet[],
  zone: string,
): { readonly wanted: ReadonlyMap<string, string>; readonly ask: () => Promise<Answer> } {
  const missing = Math.floor(Math.random() * NAMES.length)
  const wanted = new Map<string, string>()
  const records = NAMES.flatMap((name, i) => {
    const droplet = droplets[Math.floor(Math.random() * droplets.length)]
    wanted.set(name, i === missing || droplet === undefined ? 'none' : `${droplet.name} at ${zone}`)
    if (i === missing || droplet === undefined) return []
    return [{ name, domain: `${name}.${zone}`, host: 'localhost', port: droplet.port }]
  })
  registry.list(records)
  return { wanted, ask: () => call(manager, 'POST', '/proxy-manager/sync-from-registry?prune=true') }
}
