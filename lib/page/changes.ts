/** What a visitor does: calls that change something, each with its steps until the receipt is there. Nothing is shown as done before that. */
import { type ApiAnswer, ApiError, type CallOptions, callApi, field, type Method } from './api.ts'
import { loadRoute } from './load.ts'
import { current, update } from './state.ts'

export interface Act extends CallOptions {
  readonly method: Method
  readonly path: string
  /** What is done, as a sentence without its end: "app: a certificate is ordered". */
  readonly what: string
  /** The routes that are read again afterwards. */
  readonly droplets?: readonly string[]
}

/** Makes a call and shows its steps and its result. @returns its answer; `undefined` if it has failed, which is shown */
export async function act({ method, path, what, droplets = [], ...options }: Act): Promise<ApiAnswer | undefined> {
  const id = crypto.randomUUID()
  update({ notice: undefined, running: new Map([...current().running, [id, { what, steps: [] }]]) })
  try {
    const headers = { ...options.headers, 'x-correlation-id': id }
    const answer = await callApi(method, path, { ...options, headers })
    update({ notice: { text: `${what}: ${outcomeOf(answer)}` } })
    return answer
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    if (error.status === 401) update({ access: 'login' })
    update({ notice: { text: what, error } })
    return undefined
  } finally {
    const running = new Map(current().running)
    running.delete(id)
    update({ running })
    for (const name of droplets) await loadRoute(name).catch(() => undefined)
  }
}

function outcomeOf({ json }: ApiAnswer): string {
  const receipt = field(json, 'receipt')
  if (receipt === undefined) return 'done'
  if (field(receipt, 'reloaded') === false) return 'nothing had to be changed'
  const by = String(field(receipt, 'proved_by')).replaceAll('_', ' ')
  return `served as generation ${field(receipt, 'generation')}, proved by ${by} in ${field(receipt, 'proved_ms')} ms`
}

/** The path of a route, with what follows. */
export function routePath(name: string, rest = ''): string {
  return `/proxies/${encodeURIComponent(name)}${rest}`
}

/** Whether a call about this route runs. */
export function isBusy(name: string): boolean {
  return [...current().running.values()].some(({ what }) => what.startsWith(`${name}: `))
}
