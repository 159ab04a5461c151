/** All routes. "served" and "droplet" are two things: a route can be in place while its droplet is down. */
import { html, nothing, type TemplateResult } from 'lit-html'
import type { ProxyState } from '../../route/state.ts'
import { isObject } from '../api.ts'
import { act, ifUnchanged, stepOf } from '../changes.ts'
import { href } from '../location.ts'
import { actorName, age, badge, chip, guarded, type Part, siteLink } from '../parts.ts'
import { mayChange, redraw, type State } from '../state.ts'
import { droplet, lifeLeft, served } from './status.ts'

const COLUMNS = ['Name', 'Domain', 'Served', 'Droplet', 'Certificate', 'Changed'] as const
type Column = (typeof COLUMNS)[number]

/** More rows than these are shown on request: a browser needs a second for 1,000. */
const ROWS = 200

const FILTERS = {
  all: () => true,
  'droplet unhealthy': ({ health }: ProxyState) => health.status === 'unhealthy',
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
  const known = [...state.routes.values()]
  const [all, broken] = [known.filter(isWhole), known.filter((route) => !isWhole(route))]
  const text = shown.text.trim().toLowerCase()
  const wanted = all.filter((route) => FILTERS[shown.filter](route) && textOf(route).includes(text))
  wanted.sort((a, b) => compare(keyOf(a), keyOf(b)) * (shown.isDown ? -1 : 1))
  const rows = shown.isAll ? wanted : wanted.slice(0, ROWS)
  const create = mayChange(state) ? html`<a class="button" href=${href.create}>New route</a>` : nothing
  return html`
    <h1>Routes</h1>
    ${
      known.length === 0
        ? html`<p>There is no route yet. A route leads from a domain to a droplet.</p><p>${create}</p>`
        : html`<div class="tools">
      <input type="search" placeholder="Filter by name, domain or upstream" aria-label="Filter" .value=${shown.text} @input=${setText} />
      ${Object.entries(FILTERS).map(([name, matches]) => chip(name, all.filter(matches).length, name === shown.filter, () => setFilter(name)))}
      ${create}
    </div>
    <p class="dim" role="status">${wanted.length === all.length ? nothing : `${wanted.length} of ${all.length} routes`}</p>
    ${table(state, rows, broken)}
    ${wanted.length > rows.length ? html`<p>The first ${rows.length} are shown. <button @click=${showAll}>Show all ${wanted.length}</button></p>` : nothing}`
    }`
}

function table(state: State, rows: readonly ProxyState[], broken: readonly unknown[]): TemplateResult {
  return html`<table>
    <thead><tr>
      ${COLUMNS.map(
        (
          column,
        ) => html`<th scope="col" aria-sort=${column !== shown.column ? nothing : shown.isDown ? 'descending' : 'ascending'}>
        <button class="plain" @click=${() => sortBy(column)}>${column}</button></th>`,
      )}
      ${mayChange(state) ? html`<th scope="col">Actions</th>` : nothing}
    </tr></thead>
    <tbody>${broken.map((one) => html`<tr><td colspan="7">${badge('bad', 'cannot be shown')}<pre>${JSON.stringify(one)}</pre></td></tr>`)}${rows.map((route) => html`<tr>${guarded(route, () => row(state, route))}</tr>`)}</tbody>
  </table>`
}

function row(state: State, route: ProxyState): TemplateResult {
  const { droplet_name: name, options, upstreams, upstream, certificate } = route
  const more =
    upstreams.length > 1
      ? html` <span title=${upstreams.map(addressOf).join(', ')}>+${upstreams.length - 1}</span>`
      : nothing
  return html`
    <th scope="row"><a href=${href.route(name)}>${name}</a></th>
    <td data-label="Domain">${siteLink(route)}${options.aliases.length === 0 ? nothing : html` <span class="dim" title=${options.aliases.join(', ')}>+${options.aliases.length}</span>`}
      <div class="dim">${options.redirect_to === null ? html`${upstream}${more}` : `redirects to ${options.redirect_to}`}</div></td>
    <td data-label="Served">${served(state, route)}</td>
    <td data-label="Droplet">${droplet(route)}</td>
    <td data-label="Certificate">${certificate === null ? html`<span class="dim">${route.enable_ssl ? 'none yet' : 'HTTP only'}</span>` : lifeLeft(certificate)}</td>
    <td data-label="Changed">${age(route.updated_at)}${route.updated_by === null ? nothing : html` <span class="dim">by ${actorName(route.updated_by)}</span>`}</td>
    ${mayChange(state) ? html`<td data-label="Actions" class="acts">${acts(state, route)}</td>` : nothing}`
}

/** Whether a route has what rows are filtered and sorted by. One that has not is shown as it is, and hides no other. */
function isWhole(route: ProxyState): boolean {
  return isObject(route.options) && isObject(route.health) && Array.isArray(route.upstreams)
}

function addressOf({ host, port, backup }: ProxyState['upstreams'][number]): string {
  return `${host}:${port}${backup ? ' (backup)' : ''}`
}

function acts(state: State, route: ProxyState): TemplateResult {
  const { droplet_name: name, options } = route
  const isBusy = stepOf(state, name) !== undefined
  const toggle = options.maintenance ? 'End maintenance' : 'Maintenance'
  return html`<button ?disabled=${isBusy} aria-label=${`Check ${name}`} @click=${() => check(name)}>Check</button>
    <button ?disabled=${isBusy} aria-label=${`${toggle} ${name}`} @click=${() => setMaintenance(route, !options.maintenance)}>${toggle}</button>`
}

export async function check(name: string): Promise<void> {
  await act({ method: 'POST', droplet: name, rest: '/check', what: 'check' })
}

/** The route as it is, with maintenance on or off: only if nobody has changed it meanwhile. */
export async function setMaintenance(route: ProxyState, maintenance: boolean): Promise<void> {
  await act({
    method: 'PUT',
    droplet: route.droplet_name,
    headers: ifUnchanged(route),
    // The droplet may well be down: that is what maintenance is for.
    body: { ...route, options: { ...route.options, maintenance }, require_healthy: false },
    what: `maintenance ${maintenance ? 'on' : 'off'}`,
  })
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
    Served: status === 'active' ? '9' : status,
    Droplet: { unhealthy: '0', unknown: '1', healthy: '2' }[health.status],
    Certificate: certificate?.expiry ?? '9',
    Changed: updated_at,
  }
  return keys[shown.column]
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

function textOf({ droplet_name, domain, path, upstreams, options }: ProxyState): string {
  return `${droplet_name} ${domain}${path} ${options.aliases.join(' ')} ${upstreams.map(addressOf).join(' ')}`.toLowerCase()
}

function setText({ currentTarget: input }: Event): void {
  if (input instanceof HTMLInputElement) shown.text = input.value
  redraw()
}

function setFilter(name: string): void {
  if (isFilter(name)) shown.filter = name
  redraw()
}

function showAll(): void {
  shown.isAll = true
  redraw()
}
