/** The server block of ours that answers on loopback only: the generation that NGINX serves, and its connection counts. */
import type { Host } from '../host/host.ts'

/** The name under which it answers: `.invalid` is reserved (RFC 6761), so no site can have it. */
export const GENERATION_NAME = 'generation.proxy-manager.invalid'

/** Where NGINX shows its own connection counts, under that name. */
export const STATUS_PATH = '/status'

const TIMEOUT_MS = 1000

/** The body of what that server block answers at a path; `undefined` if it does not answer 200 within a second. */
export async function askOwnServer({ probe, settings }: Host, path: string): Promise<string | undefined> {
  const answer = await probe.get({
    address: '127.0.0.1',
    port: settings.NGINX_HTTP_PORT,
    host: GENERATION_NAME,
    path,
    timeoutMs: TIMEOUT_MS,
  })
  return 'status' in answer && answer.status === 200 ? answer.body : undefined
}

/** The generation that NGINX serves; `undefined` if nothing of ours answers. */
export async function servedGeneration(host: Host): Promise<number | undefined> {
  const answer = (await askOwnServer(host, '/'))?.trim()
  return answer !== undefined && /^\d+$/.test(answer) ? Number(answer) : undefined
}
