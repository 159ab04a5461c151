/** What happened, and who did it. */

import { html, nothing, type TemplateResult } from 'lit-html'
import type { LoggedEvent } from '../../events/event.ts'
import { nowMs } from '../browser.ts'
import { href } from '../location.ts'
import { actorName, age, badge, chip, guarded, type Part, type Tone } from '../parts.ts'
import { redraw, type State } from '../state.ts'

const CHANGES = /^(route\.(?!drifted|drained)|certificate\.(?!expiring)|sync\.|tokens\.|host\.)/
const FILTERS = {
  changes: ({ type }: LoggedEvent) => CHANGES.test(type),
  failures: (event: LoggedEvent) => toneOf(event) === 'bad',
  all: () => true,
} as const
type Filter = keyof typeof FILTERS
const isFilter = (text: string): text is Filter => text in FILTERS

const shown: { text: string; filter: Filter } = { text: '', filter: 'changes' }
const HOUR_MS = 3_600_000

export function activity({ events }: State, correlationId: string): Part {
  const text = shown.text.trim().toLowerCase()
  const matches = FILTERS[correlationId === '' ? shown.filter : 'all']
  const wanted = events.filter(
    (event) =>
      matches(event) &&
      (correlationId === '' || event.correlation_id === correlationId) &&
      (text === '' || JSON.stringify(event).toLowerCase().includes(text)),
  )
  const since = nowMs() - HOUR_MS
  const [recent, earlier] = [true, false].map((isRecent) =>
    wanted.filter(({ at }) => Date.parse(at) > since === isRecent),
  )
  return html`<h1>Activity</h1>
    <div class="tools">
      <input type="search" placeholder="Filter by anything: a route, a name, a correlation ID" aria-label="Filter" .value=${shown.text} @input=${setText} />
      ${
        correlationId === ''
          ? Object.entries(FILTERS).map(([name, one]) =>
              chip(name, events.filter(one).length, name === shown.filter, () => setFilter(name)),
            )
          : html`<span>Correlation ID ${correlationId}</span> <a class="button" href=${href.activity()}>Show all</a>`
      }
    </div>
    ${list('In the last hour', recent)} ${list('Earlier', earlier)}
    <p class="dim">Of the last ${events.length} events. The command line has all: proxy-manager events</p>`
}

function list(title: string, events: readonly LoggedEvent[] = []): Part {
  return html`<h2>${title}</h2>${
    events.length === 0
      ? html`<p class="dim">Nothing.</p>`
      : html`<ol class="events">${events.map((event) => html`<li>${guarded(event, () => line(event))}</li>`)}</ol>`
  }`
}

function toneOf({ type, outcome }: LoggedEvent): Tone {
  if (/failed|refused|down$/.test(type) || outcome === 'unhealthy') return 'bad'
  if (/drifted|expiring/.test(type) || outcome === 'degraded') return 'warn'
  return /deleted|stopped|drained/.test(type) ? 'none' : 'good'
}

function line(event: LoggedEvent): TemplateResult {
  const { type, at, droplet_name: name, domain, actor, address, error_code: code, correlation_id: id, details } = event
  const from = address === undefined ? '' : ` from ${address}`
  return html`<div class="event">
      <span class="when">${age(at)}</span>
      <span>${badge(toneOf(event), type)} ${name === undefined ? nothing : html`<a href=${href.route(name)}>${name}</a>`} <span class="dim">${domain}</span></span>
      <span>by <strong>${actorName(actor)}</strong><span class="dim">${from}</span></span>
      <span>${[code, ...summary(details)].filter((one) => one !== undefined).join(': ')}</span>
    </div>
    <details><summary>Details</summary>
      <p>${new Date(at).toLocaleString()}${id === undefined ? nothing : html` · Correlation ID <a href=${href.activity(id)}>${id}</a>`}</p>
      <pre>${JSON.stringify(details, null, 1)}</pre>
    </details>`
}

/** What most events are about, in one line. */
function summary({
  changed,
  reason,
  failure,
  message,
  upstream,
  former_name: former,
}: LoggedEvent['details']): string[] {
  if (Array.isArray(changed)) return [`changed ${changed.join(', ')}`]
  if (former !== undefined) return [`was ${former}`]
  return [reason, failure, message ?? upstream].filter((one) => typeof one === 'string')
}

function setText({ currentTarget: input }: Event): void {
  if (input instanceof HTMLInputElement) shown.text = input.value
  redraw()
}

function setFilter(name: string): void {
  if (isFilter(name)) shown.filter = name
  redraw()
}
