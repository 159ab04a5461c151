/** What happened, and who did it. */
import { html, nothing, type TemplateResult } from 'lit-html'
import type { LoggedEvent } from '../../events/event.ts'
import { href } from '../location.ts'
import { age, badge, guarded, type Part, type Tone } from '../parts.ts'
import { redraw, type State } from '../state.ts'

let text = ''

export function activity({ events }: State, correlationId: string): Part {
  const wanted = events.filter(
    (event) =>
      (correlationId === '' || event.correlation_id === correlationId) &&
      JSON.stringify(event).toLowerCase().includes(text.toLowerCase()),
  )
  return html`<h1>Activity</h1>
    <div class="tools">
      <input type="search" placeholder="Filter" aria-label="Filter" .value=${text} @input=${setText} />
      ${correlationId === '' ? nothing : html`<span>of ${correlationId}</span> <a href=${href.activity}>Show all</a>`}
      <span class="dim">${wanted.length} of the last ${events.length}</span>
    </div>
    <ol class="events">${wanted.map((event) => html`<li>${guarded(event, () => line(event))}</li>`)}</ol>`
}

function toneOf({ type, outcome }: LoggedEvent): Tone {
  if (/failed|refused|down$/.test(type) || outcome === 'unhealthy') return 'bad'
  if (/drifted|expiring/.test(type) || outcome === 'degraded') return 'warn'
  return /deleted|stopped|drained/.test(type) ? 'none' : 'good'
}

function line(event: LoggedEvent): TemplateResult {
  const { type, at, droplet_name: name, domain, actor, address, outcome, error_code: code, details } = event
  const more = Object.keys(details).length > 0
  return html`<details>
    <summary>${badge(toneOf(event), type)} ${name === undefined ? nothing : html`<a href=${href.route(name)}>${name}</a>`} ${domain ?? ''}
      <span class="dim">${age(at)} by ${actor.name ?? actor.kind}${address === undefined ? '' : ` from ${address}`}</span> ${code ?? outcome ?? ''}</summary>
    ${event.correlation_id === undefined ? nothing : html`<p class="dim">Correlation ID ${event.correlation_id}</p>`}
    ${more ? html`<pre>${JSON.stringify(details, null, 1)}</pre>` : nothing}
  </details>`
}

function setText({ currentTarget: input }: Event): void {
  if (input instanceof HTMLInputElement) text = input.value
  redraw()
}
