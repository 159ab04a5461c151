/** A Registry, and upstreams, that answer without end, in loops, or not at all. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import type { Manager } from '../../../fixtures/manager.ts'
import { call } from '../../helpers/system/host.ts'
import type { Bounds } from './bounds.ts'

const CALLERS = 20

export type Behaviour = (
  request: IncomingMessage,
  response: ServerResponse,
  self: () => { readonly peer: number; readonly api: number },
) => void

/** Sends as long as the other side reads. */
function pour(response: ServerResponse, chunk: Buffer, everyMs: number): void {
  const more = () => {
    if (response.destroyed) return
    if (everyMs > 0) {
      response.write(chunk)
      globalThis.setTimeout(more, everyMs)
    } else if (response.write(chunk)) setImmediate(more)
    else response.once('drain', more)
  }
  more()
}

/** What a Registry, or a probed upstream, may do instead of answering. */
export const HOSTILE_PEERS: Readonly<Record<string, Behaviour>> = {
  'never answers': () => undefined,
  'answers without end': (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    pour(response, Buffer.from(`[${'{"name":"x"},'.repeat(4000)}`), 0)
  },
  drips: (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    pour(response, Buffer.from(' '), 50)
  },
  'sends headers without end': (request) => {
    const { socket } = request
    socket.write('HTTP/1.1 200 OK\r\n')
    const more = () => {
      if (!socket.destroyed && socket.write('x: y\r\n'.repeat(100))) setImmediate(more)
    }
    more()
  },
  'sends interim answers without end': (request) => {
    const { socket } = request
    const more = () => {
      if (!socket.destroyed && socket.write('HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n'.repeat(20))) setImmediate(more)
      else if (!socket.destroyed) socket.once('drain', more)
    }
    more()
  },
  'redirects in a loop': (request, response, self) => {
    response.writeHead(307, { location: `http://127.0.0.1:${self().peer}${request.url}` }).end()
  },
  'redirects to this API': (_request, response, self) => {
    response.writeHead(307, { location: `http://127.0.0.1:${self().api}/proxy-manager/sync-from-registry` }).end()
  },
  'answers with a decompression bomb': (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
    response.end(BOMB)
  },
  'lists four megabytes of invalid droplets': (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JUNK)
  },
  'lists droplets that point to this API': (_request, response, self) => {
    const { api, peer } = self()
    const ports = [api, api, api, peer]
    const hosts = ['127.0.0.1', 'localhost', '::ffff:127.0.0.1', '169.254.169.254']
    const droplets = hosts.map((host, i) => ({
      name: `back-${i}`,
      host,
      port: ports[i],
      domain: `back-${i}.example.com`,
    }))
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(droplets))
  },
}

/** 200 MB of spaces. */
const BOMB = gzipSync(Buffer.alloc(200_000_000, 0x20), { level: 9 })
const JUNK = JSON.stringify(
  Array.from({ length: 60_000 }, (_, i) => ({ name: `junk ${i}`, domain: ';', port: -i, host: '$' })),
)

/** Repeated syncs by several callers; each is answered in time, with nothing changed. */
export async function sufferRegistry(manager: Manager, { seconds }: Bounds): Promise<string[]> {
  const faults: string[] = []
  const until = performance.now() + seconds * 500
  const lanes = Array.from({ length: CALLERS }, async () => {
    while (performance.now() < until) {
      const started = performance.now()
      const { status, body } = await call(manager, 'POST', '/proxy-manager/sync-from-registry')
      const tookMs = performance.now() - started
      if (tookMs > 15_000) faults.push(`answered after ${Math.round(tookMs)} ms`)
      if (![200, 503].includes(status)) faults.push(`${status} ${JSON.stringify(body).slice(0, 300)}`)
    }
  })
  await Promise.all(lanes)
  return [...new Set(faults)]
}

/** Routes to it by several callers; each is answered within the time limit of a health check. */
export async function sufferUpstreams(manager: Manager, port: number, { seconds }: Bounds): Promise<string[]> {
  const faults: string[] = []
  const until = performance.now() + seconds * 500
  const lanes = Array.from({ length: CALLERS }, async (_, i) => {
    while (performance.now() < until) {
      const started = performance.now()
      const path = `/proxies/up-${i}?dry_run=true`
      const { status, body } = await call(manager, 'PUT', path, {
        domain: `up-${i}.example.com`,
        upstream_port: port,
      })
      const tookMs = performance.now() - started
      if (tookMs > 10_000) faults.push(`answered after ${Math.round(tookMs)} ms`)
      if (![200, 422].includes(status)) faults.push(`${status} ${JSON.stringify(body).slice(0, 300)}`)
    }
  })
  await Promise.all(lanes)
  return [...new Set(faults)]
}
