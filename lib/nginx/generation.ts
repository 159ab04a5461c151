/** Our loopback-only server block: it answers with the generation that NGINX serves, and with its connection counts. */
import type { Host } from '../host/host.ts'
import { type Endpoint, endpointsOf, type ListensOf } from './endpoints.ts'

/** Its server name: `.invalid` is reserved (RFC 6761), so no site can have it. */
export const GENERATION_NAME = 'generation.proxy-manager.invalid'

/** The path of NGINX's connection counts (stub_status) under that name. */
export const STATUS_PATH = '/status'

const TIMEOUT_MS = 1000

type ProbingHost = Pick<Host, 'network' | 'probe'>

/** The generation that NGINX serves at every address that we listen on; `undefined` if one does not answer, or they differ. */
export async function servedGeneration(
  host: ProbingHost,
  { httpListens }: Pick<ListensOf, 'httpListens'>,
): Promise<number | undefined> {
  const [first, ...others] = endpointsOf(host, httpListens)
  const served = first === undefined ? undefined : await generationAt(host, first)
  // The others only once the first answers: while a reload is under way, this is called every few milliseconds.
  const found = served === undefined ? [] : await Promise.all(others.map((endpoint) => generationAt(host, endpoint)))
  return found.every((generation) => generation === served) ? served : undefined
}

/** The text of stub_status; `undefined` if NGINX does not answer with it. */
export async function readStatusPage(
  host: ProbingHost,
  { httpListens }: Pick<ListensOf, 'httpListens'>,
): Promise<string | undefined> {
  const [first] = endpointsOf(host, httpListens)
  return first === undefined ? undefined : await query(host, first, STATUS_PATH)
}

/** Another site may answer to every name: only digits are a generation. */
async function generationAt(host: ProbingHost, endpoint: Endpoint): Promise<number | undefined> {
  const answer = (await query(host, endpoint, '/'))?.trim()
  return answer !== undefined && /^\d+$/.test(answer) ? Number(answer) : undefined
}

/** The body of a 200 within a second. */
async function query({ probe }: ProbingHost, endpoint: Endpoint, path: string): Promise<string | undefined> {
  const request = { ...endpoint, host: GENERATION_NAME, path, timeoutMs: TIMEOUT_MS, limited: 'quick' } as const
  const answer = await probe.get(request)
  return 'status' in answer && answer.status === 200 ? answer.body : undefined
}
