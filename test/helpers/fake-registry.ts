/** A Registry of droplets in memory, as the mesh's own: `/droplets`, `/droplets/name/<name>`, and PATCH by its numbers. */
import type { HttpAnswer, HttpRequest } from '../../lib/adapters/http-client.ts'

type StoredRecord = Record<string, unknown>

export interface FakeRegistry {
  readonly records: StoredRecord[]
  /** Method and path of every request. */
  readonly requests: string[]
  /** Answers requests whose method and path match instead of the Registry. */
  override: (method: string, path: string) => HttpAnswer | undefined
  request(request: HttpRequest): Promise<HttpAnswer>
}

export function fakeRegistry(): FakeRegistry {
  const json = (status: number, body: unknown): HttpAnswer => ({ status, body: JSON.stringify(body) })
  let lastId = 0
  const registry: FakeRegistry = {
    records: [],
    requests: [],
    override: () => undefined,
    request: async ({ url, json: sent, method = sent === undefined ? 'GET' : 'POST' }) => {
      const path = decodeURIComponent(new URL(url).pathname).replace(/^.*?\/droplets/, '/droplets')
      registry.requests.push(`${method} ${path}`)
      const overridden = registry.override(method, path)
      if (overridden !== undefined) return overridden
      const fields: StoredRecord = JSON.parse(JSON.stringify(sent ?? {}))
      if (path === '/droplets' && method === 'GET') return json(200, { droplets: registry.records })
      if (path === '/droplets') {
        if (registry.records.some(({ name }) => name === fields.name))
          return json(409, { detail: 'already registered' })
        const droplet = { id: ++lastId, ...fields }
        registry.records.push(droplet)
        return json(201, { droplet })
      }
      const key = path.split('/').at(-1)
      const droplet = registry.records.find(({ id, name }) => (method === 'PATCH' ? String(id) : name) === key)
      if (droplet === undefined) return json(404, { detail: 'not found' })
      Object.assign(droplet, fields)
      return json(200, { droplet })
    },
  }
  return registry
}
