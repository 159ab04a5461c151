/** All routes. "served" and "droplet" are two things: a route can be in place while its droplet is down. */
import { html, nothing, type TemplateResult } from 'lit-html'
import type { ProxyState } from '../../route/state.ts'
import { act, isBusy, routePath } from '../changes.ts'
import { href } from '../location.ts'
import { age, badge, checksBar, guarded, type Part, siteLink, type Tone } from '../parts.ts'
import { mayChange, redraw, type State } from '../state.ts'

const COLUMNS = ['Name', 'Domain', 'Served', 'Droplet', 'Certificate', 'Changed'] as const
type Column = (typeof COLUMNS)[number]

/** More rows than these are shown on request: a browser needs a second for 1,000. */
const ROWS = 200

const FILTERS = {
  all: () => true,
  'not healthy': ({ health }: ProxyState) => health.status === 'unhealthy',
  'not served as asked': ({ status }: ProxyState) => status !== 'active',
  'in maintenance': ({ options }: ProxyState) => options.maintenance,
} as const
type Filter = keyof typeof FILTERS
const isFilter = (text: string): text is Filter => text in FILTERS

const shown: { text: string; filter: Filter; column: Column; isDown: boolean; isAll: boolean } = {
  text: '',
  filter: 'all',
  column: 'Name',
  isDown: false,
  isAll: false,
}

export function routes(state: State): Part {
  if (state.routes === undefined) return html`<p class="dim">Loading…</p>`
  const all = [...state.routes.values()]
  const wanted = all.filter((route) => FILTERS[shown.filter](route) && textOf(route).includes(shown.text.toLowerCase()))
  wanted.sort((a, b) => compare(keyOf(a), keyOf(b)) * (shown.isDown ? -1 : 1))
  const rows = shown.isAll ? wanted : wanted.slice(0, ROWS)
  return html`
    <h1>Routes</h1>
    <div class="tools">
      <input type="search" placeholder="Filter by name, domain or upstream" aria-label="Filter" .value=${shown.text} @input=${setText} />
      <select aria-label="State" @change=${setFilter}>
        ${Object.keys(FILTERS).map((name) => html`<option ?selected=${name === shown.filter}>${name}</option>`)}
      </select>
      <span class="dim">${wanted.length} of ${all.length}</span>
      ${mayChange(state) ? html`<a class="button" href=${href.create}>New route</a>` : nothing}
    </div>
    ${all.length === 0 ? html`<p>There is no route yet. ${mayChange(state) ? html`<a href=${href.create}>Create the first one</a>.` : nothing}</p>` : table(state, rows)}
    ${wanted.length > rows.length ? html`<button @click=${showAll}>Show all ${wanted.length}</button>` : nothing}`
}

function table(state: State, rows: readonly ProxyState[]): TemplateResult {
  return html`<table>
    <thead><tr>
      ${COLUMNS.map(
        (
          column,
        ) => html`<th scope="col" aria-sort=${column !== shown.column ? nothing : shown.isDown ? 'descending' : 'ascending'}>
        <button class="plain" @click=${() => sortBy(column)}>${column}</button></th>`,
      )}
      ${mayChange(state) ? html`<th scope="col">Acts</th>` : nothing}
    </tr></thead>
    <tbody>${rows.map((route) => html`<tr>${guarded(route, () => row(state, route))}</tr>`)}</tbody>
  </table>`
}

function row(state: State, route: ProxyState): TemplateResult {
  const { droplet_name: name, domain, options, upstream, certificate, ssl_enabled: isSecure } = route
  return html`
    <th scope="row"><a href=${href.route(name)}>${name}</a></th>
    <td data-label="Domain">${siteLink(domain, isSecure)}${options.aliases.length === 0 ? nothing : html` <span class="dim" title=${options.aliases.join(', ')}>+${options.aliases.length}</span>`}
      <div class="dim">${options.redirect_to === null ? (upstream ?? '') : `redirects to ${options.redirect_to}`}</div></td>
    <td data-label="Served">${served(route)}</td>
    <td data-label="Droplet">${droplet(route)}</td>
    <td data-label="Certificate">${certificate === null ? html`<span class="dim">${route.enable_ssl ? 'none yet' : 'HTTP only'}</span>` : lifeLeft(certificate)}</td>
    <td data-label="Changed">${age(route.updated_at)}</td>
    ${mayChange(state) ? html`<td data-label="Acts" class="acts">${acts(route)}</td>` : nothing}`
}

/** Whether NGINX serves the route as it is asked for. */
export function served({ status, options, ssl_error: error }: ProxyState): TemplateResult {
  if (status === 'drifted') return badge('warn', 'drifted', 'The file was edited by hand')
  if (status === 'disabled') return badge('bad', 'disabled', 'It is not in sites-enabled')
  if (options.maintenance) return badge('warn', 'maintenance', 'NGINX answers 503')
  if (status === 'pending_ssl') return badge('warn', 'HTTP, certificate pending', error?.message)
  return badge('good', 'served')
}

/** What the health checks say about its droplet, and since when. */
export function droplet({ health, upstream, options }: ProxyState): Part {
  if (upstream === null || options.redirect_to !== null) return html`<span class="dim">none: it redirects</span>`
  const tones = { healthy: 'good', unhealthy: 'bad', unknown: 'none' } as const satisfies Record<string, Tone>
  const { status, since, latency_ms: ms, recent } = health
  return html`${badge(tones[status], status)} <span class="dim">${since === null ? 'not checked' : html`since ${age(since)}`}${ms === null ? nothing : `, ${ms} ms`}</span>
    ${recent === '' ? nothing : checksBar(recent)}`
}

/** The life of a certificate as a bar, and the days that are left. */
export function lifeLeft({
  not_before: from,
  expiry,
}: {
  readonly not_before: string
  readonly expiry: string
}): TemplateResult {
  const [begin, end, now] = [Date.parse(from), Date.parse(expiry), Date.now()]
  const share = (end - now) / (end - begin)
  const days = Math.floor((end - now) / 86_400_000)
  const tone = share <= 0 ? 'bad' : share < 1 / 4 ? 'warn' : 'good'
  const word = share <= 0 ? 'expired' : days === 0 ? 'ends today' : `${days} d left`
  return html`${badge(tone, word, `until ${new Date(expiry).toLocaleString()}`)} <meter min="0" max="1" value=${Math.max(0, share)} aria-label="Share of its life that is left"></meter>`
}

function acts(route: ProxyState): TemplateResult {
  const { droplet_name: name, options } = route
  const check = () => act({ method: 'POST', path: routePath(name, '/check'), what: `${name}: check`, droplets: [name] })
  return html`<button ?disabled=${isBusy(name)} @click=${check}>Check</button>
    <button ?disabled=${isBusy(name)} @click=${() => setMaintenance(route, !options.maintenance)}>${options.maintenance ? 'Back to work' : 'Maintenance'}</button>`
}

/** The route as it is, with maintenance on or off: only if nobody has changed it meanwhile. */
export async function setMaintenance(route: ProxyState, maintenance: boolean): Promise<void> {
  const { droplet_name: name, options } = route
  const what = `${name}: maintenance ${maintenance ? 'on' : 'off'}`
  const body = { ...route, options: { ...options, maintenance }, require_healthy: false }
  await act({ method: 'PUT', path: routePath(name), body, what, droplets: [name] })
}

function sortBy(column: Column): void {
  shown.isDown = shown.column === column && !shown.isDown
  shown.column = column
  redraw()
}

function keyOf({ droplet_name, domain, status, health, certificate, updated_at }: ProxyState): string {
  const keys: Record<Column, string> = {
    Name: droplet_name,
    Domain: domain,
    Served: status,
    Droplet: health.status === 'unhealthy' ? '0' : health.status === 'unknown' ? '1' : '2',
    Certificate: certificate?.expiry ?? '9',
    Changed: updated_at,
  }
  return keys[shown.column]
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

function textOf({ droplet_name, domain, upstream, options }: ProxyState): string {
  return `${droplet_name} ${domain} ${options.aliases.join(' ')} ${upstream ?? ''}`
}

function setText({ currentTarget: input }: Event): void {
  if (input instanceof HTMLInputElement) shown.text = input.value
  redraw()
}

function setFilter({ currentTarget: select }: Event): void {
  if (select instanceof HTMLSelectElement && isFilter(select.value)) shown.filter = select.value
  redraw()
}

function showAll(): void {
  shown.isAll = true
  redraw()
}
