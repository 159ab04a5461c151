/** What the page knows. There is one state, and whatever changes it renders the page again. */

import type { LoggedEvent } from '../events/event.ts'
import type { ManagerHealth } from '../health/health-schema.ts'
import type { CertificateEntry } from '../issuance/inventory.ts'
import type { ProxyState } from '../route/state.ts'
import type { ApiError, Session } from './api.ts'
import { beforeNextFrame, nowMs } from './browser.ts'

export type View =
  | { readonly name: 'routes' }
  | { readonly name: 'route'; readonly droplet: string }
  | { readonly name: 'edit'; readonly droplet: string | null }
  /** With a droplet: what an order for it would do. */
  | { readonly name: 'certificates'; readonly droplet: string }
  | { readonly name: 'activity'; readonly correlationId: string }
  | { readonly name: 'explain'; readonly url: string }

/** How the page learns what happens: a stream, or a poll every 5 s if there is none to be had; or not at all since some time. */
export type Live =
  | { readonly by: 'stream' | 'polls' }
  | { readonly by: 'nothing'; readonly sinceMs: number; readonly error: ApiError | undefined }

/** A call that runs, with its steps as far as they are known. */
export interface Running {
  readonly what: string
  readonly droplet: string
  readonly steps: readonly string[]
}

export interface Notice {
  readonly text: string
  /** Not given for a success. */
  readonly error?: ApiError
}

export interface State {
  readonly access: 'unknown' | 'login' | 'open'
  readonly session: Session
  readonly view: View
  /** By name, sorted; `undefined` until they are loaded. */
  readonly routes: ReadonlyMap<string, ProxyState> | undefined
  readonly health: ManagerHealth | undefined
  /** `undefined` until somebody looks at them. */
  readonly certificates: readonly CertificateEntry[] | undefined
  /** The newest first. */
  readonly events: readonly LoggedEvent[]
  readonly live: Live
  /** By correlation id. */
  readonly running: ReadonlyMap<string, Running>
  readonly notice: Notice | undefined
}

let state: State = {
  access: 'unknown',
  session: { grant: 'read', name: null },
  view: { name: 'routes' },
  routes: undefined,
  health: undefined,
  certificates: undefined,
  events: [],
  live: { by: 'nothing', sinceMs: nowMs(), error: undefined },
  running: new Map(),
  notice: undefined,
}
let draw: (state: State) => void = () => undefined
let isDrawing = false

export function current(): State {
  return state
}

/** Changes a part of the state; the page is rendered before the next frame. */
export function update(part: Partial<State>): void {
  state = { ...state, ...part }
  redraw()
}

/** Renders the page with the state as it is: an age has grown, or a view has changed something of its own. */
export function redraw(): void {
  if (isDrawing) return
  isDrawing = true
  beforeNextFrame(() => {
    isDrawing = false
    draw(state)
  })
}

/** Has the state rendered by `render`, from now on. */
export function drawWith(render: (state: State) => void): void {
  draw = render
  redraw()
}

/** Whether the visitor may change anything; the API refuses otherwise. */
export function mayChange({ session }: State): boolean {
  return session.grant === 'all'
}

const EVENTS_KEPT = 500

/** Adds events, those of a stream or of a page of the log, in their order. */
export function addEvents(events: readonly LoggedEvent[]): void {
  const [newest] = state.events
  const fresh = events.filter(({ id }) => newest === undefined || id > newest.id)
  if (fresh.length > 0) update({ events: [...fresh.toReversed(), ...state.events].slice(0, EVENTS_KEPT) })
}
