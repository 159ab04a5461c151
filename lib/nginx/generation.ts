/** Our loopback-only server block: it answers with the generation that NGINX serves, and with its connection counts. */
import type { Host } from '../host/host.ts'

/** Its server name: `.invalid` is reserved (RFC 6761), so no site can have it. */
export const GENERATION_NAME = 'generation.proxy-manager.invalid'

/** The path of NGINX's connection counts (stub_status) under that name. */
export const STATUS_PATH = '/status'

const TIMEOUT_MS = 1000

/** The response body of that server block for a path; `undefined` unless it answers 200 within a second. */
export async function askOwnServer(
  { probe, settings }: Pick<Host, 'probe' | 'settings'>,
  path: string,
): Promise<string | undefined> {
  const answer = await probe.get({
    address: '127.0.0.1',
    port: settings.NGINX_HTTP_PORT,
    host: GENERATION_NAME,
    path,
    timeoutMs: TIMEOUT_MS,
  })
  return 'status' in answer && answer.status === 200 ? answer.body : undefined
}

/** The generation that NGINX serves; `undefined` if our server block does not answer. */
export async function servedGeneration(host: Pick<Host, 'probe' | 'settings'>): Promise<number | undefined> {
  const answer = (await askOwnServer(host, '/'))?.trim()
  return answer !== undefined && /^\d+$/.test(answer) ? Number(answer) : undefined
}
