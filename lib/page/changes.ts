/** What a visitor does: calls that change something, each with its steps until the receipt is there. Nothing is shown as done before that. */

import type { ProxyState } from '../route/state.ts'
import { type ApiAnswer, ApiError, type CallOptions, callApi, field, type Method } from './api.ts'
import { randomId } from './browser.ts'
import { loadRoute } from './load.ts'
import { current, type State, update } from './state.ts'

export interface Act extends CallOptions {
  readonly method: Method
  /** The route that it is about; it is read again afterwards. */
  readonly droplet: string
  /** What follows the path of the route. */
  readonly rest?: string
  /** In the imperative: `order a certificate`. */
  readonly what: string
}

/** Makes a call and shows its steps and its result. @returns its answer; `undefined` if it has failed, which is shown */
export async function act({ method, droplet, rest = '', what, ...options }: Act): Promise<ApiAnswer | undefined> {
  const id = randomId()
  const text = `${droplet}: ${what}`
  update({ notice: undefined, running: new Map([...current().running, [id, { what: text, droplet, steps: [] }]]) })
  try {
    const headers = { ...options.headers, 'x-correlation-id': id }
    const answer = await callApi(method, routePath(droplet, rest), { ...options, headers })
    update({ notice: { text: `${text}: ${outcomeOf(answer)}` } })
    return answer
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    update({ notice: { text, error }, ...(error.status === 401 ? { access: 'login' } : {}) })
    return undefined
  } finally {
    const running = new Map(current().running)
    running.delete(id)
    update({ running })
    await loadRoute(droplet).catch(() => undefined)
  }
}

function outcomeOf({ json }: ApiAnswer): string {
  const [receipt, check, next] = [field(json, 'receipt'), field(json, 'health'), field(json, 'next')]
  if (receipt === undefined) return check === undefined ? 'done' : `the droplet is ${field(check, 'status')}`
  if (field(receipt, 'reloaded') === false) return 'nothing had to be changed'
  const by = String(field(receipt, 'proved_by')).replaceAll('_', ' ')
  const proved = `served as generation ${field(receipt, 'generation')}, proved by ${by} in ${field(receipt, 'proved_ms')} ms`
  return next === undefined ? proved : `${proved}. Still missing: ${field(next, 'reason')}`
}

/** The path of a route, with what follows. */
export function routePath(name: string, rest = ''): string {
  return `/proxies/${encodeURIComponent(name)}${rest}`
}

/** The step of the call about this route that runs, in words; `undefined` if none does. */
export function stepOf({ running }: State, name: string): string | undefined {
  const own = [...running.values()].find(({ droplet }) => droplet === name)
  return own && `${own.steps.at(-1) ?? 'applying'}…`
}

/** The condition that nobody has changed a route since it was read. */
export function ifUnchanged({ revision }: Pick<ProxyState, 'revision'>): Readonly<Record<string, string>> {
  return { 'if-match': `"${revision}"` }
}
