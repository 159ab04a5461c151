/** Keeps the page up to date: by the stream of events while the tab is visible, by polls if there is no stream to be had. */
import type { LoggedEvent } from '../events/event.ts'
import { ApiError, callApi, field, isObject, openStream } from './api.ts'
import { after, every, nowMs, pause } from './browser.ts'
import { loadCertificates, loadHealth, loadRoute, loadRoutes } from './load.ts'
import { addEvents, current, update } from './state.ts'

const POLL_MS = 5000
const LIST_EVERY_MS = 60_000
const HEALTH_EVERY_MS = 15_000
/** Events come in bursts: what they are about is read once. */
const GATHER_MS = 150
/** More routes than this are read as a list. */
const MOST_SINGLE = 8
const RETRY_MS = [1000, 2000]
const LONGEST_RETRY_MS = 5000

let stop: AbortController | undefined

/** To be called once. Nothing is followed yet. */
export function keepFollowing(): void {
  document.addEventListener('visibilitychange', followEvents)
  every(LIST_EVERY_MS, () => void refresh(loadRoutes))
  every(HEALTH_EVERY_MS, () => void refresh(loadHealth))
}

/** Follows the events from now on, if the tab is visible; after a login as well. */
export function followEvents(): void {
  stop?.abort()
  if (document.hidden || current().access !== 'open') return
  stop = new AbortController()
  void keepUp(stop.signal)
}

async function refresh(load: () => Promise<void>): Promise<void> {
  if (!document.hidden && current().access === 'open') await load().catch(() => undefined)
}

async function keepUp(signal: AbortSignal): Promise<void> {
  for (let failures = 0; !signal.aborted && current().access === 'open'; failures++) {
    try {
      await Promise.all([loadRoutes(), loadHealth(), loadEvents()])
      await readStream(signal, () => {
        failures = 0
      })
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof ApiError && error.code !== 'UNREACHABLE' && error.status !== 401) await poll(signal)
      else lost(error)
    }
    await pause(RETRY_MS[failures] ?? LONGEST_RETRY_MS)
  }
}

function lost(error: unknown): void {
  const { live } = current()
  const sinceMs = live.by === 'nothing' ? live.sinceMs : nowMs()
  update({ live: { by: 'nothing', sinceMs, error: error instanceof ApiError ? error : undefined } })
}

/** Polls until that fails, too. */
async function poll(signal: AbortSignal): Promise<void> {
  while (!signal.aborted && current().access === 'open') {
    try {
      await loadEvents()
      update({ live: { by: 'polls' } })
    } catch (error) {
      return lost(error)
    }
    await pause(POLL_MS)
  }
}

async function loadEvents(): Promise<void> {
  const after = current().events[0]?.id
  const { json } = await callApi('GET', `/events?limit=500${after === undefined ? '' : `&after=${after}`}`, {
    isInBackground: true,
  })
  const events = field(json, 'events')
  if (Array.isArray(events)) take(events.filter(isEvent), after !== undefined)
}

async function readStream(signal: AbortSignal, onOpen: () => void): Promise<void> {
  const after = current().events[0]?.id ?? 0
  const stream = await openStream(`/events?after=${after}`, { signal })
  onOpen()
  update({ live: { by: 'stream' } })
  const reader = stream.getReader()
  let rest = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    const blocks = `${rest}${value}`.split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) takeBlock(block)
  }
  throw new ApiError(0, 'UNREACHABLE', 'The stream of events has ended')
}

function takeBlock(block: string): void {
  const lines = block.split('\n')
  const type = lines.find((line) => line.startsWith('event: '))?.slice('event: '.length)
  const data = lines.find((line) => line.startsWith('data: '))?.slice('data: '.length)
  if (type === 'reset') return void refresh(loadRoutes)
  const json: unknown = data === undefined ? undefined : JSON.parse(data)
  if (field(json, 'type') === 'progress') takeProgress(json)
  else if (isEvent(json)) take([json], true)
}

function takeProgress(json: unknown): void {
  const id = field(json, 'correlation_id')
  const step = field(json, 'step')
  const { running } = current()
  if (typeof id !== 'string' || typeof step !== 'string') return
  const known = running.get(id)
  if (known !== undefined)
    update({ running: new Map([...running, [id, { ...known, steps: [...known.steps, step.replaceAll('_', ' ')] }]]) })
}

function isEvent(value: unknown): value is LoggedEvent {
  return isObject(value) && typeof value.id === 'number' && typeof value.type === 'string'
}

const stale = new Set<string>()
let gathering = false

/** They are read again if somebody looks at them, and otherwise once somebody does. */
function renewCertificates(): void {
  if (current().view.name === 'certificates') void refresh(loadCertificates)
  else update({ certificates: undefined })
}

/** `isNews` is false for what was in the log before the page was opened. */
function take(events: readonly LoggedEvent[], isNews: boolean): void {
  addEvents(events)
  if (!isNews) return
  for (const { type, droplet_name, details } of events) {
    if (type.startsWith('health.') || type.startsWith('nginx.') || type.startsWith('host.')) stale.add('*health')
    if (/^(certificate|route)\./.test(type)) stale.add('*certificates')
    if (type.startsWith('sync.') || type.startsWith('host.')) stale.add('*routes')
    if (droplet_name !== undefined) stale.add(droplet_name)
    if (type === 'route.renamed' && typeof details.former_name === 'string') stale.add(details.former_name)
  }
  if (gathering || stale.size === 0) return
  gathering = true
  after(GATHER_MS, () => {
    gathering = false
    const names = [...stale].filter((name) => !name.startsWith('*'))
    if (stale.has('*certificates')) renewCertificates()
    const isMany = stale.has('*routes') || names.length > MOST_SINGLE
    stale.clear()
    void refresh(loadHealth)
    if (isMany) void refresh(loadRoutes)
    else for (const name of names) void refresh(() => loadRoute(name))
  })
}
