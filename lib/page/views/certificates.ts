/** Every certificate, which of them runs out first, and what an order would do. */
import { html, nothing, type TemplateResult } from 'lit-html'
import type { CertificateEntry } from '../../issuance/inventory.ts'
import type { ProxyState } from '../../route/state.ts'
import { ApiError } from '../api.ts'
import { stepOf } from '../changes.ts'
import { loadCertificates } from '../load.ts'
import { href } from '../location.ts'
import { age, ahead, badge, errorBox, guarded, type Part } from '../parts.ts'
import { mayChange, redraw, type State, update } from '../state.ts'
import { preflight } from './preflight.ts'
import { lifeLeft } from './status.ts'

/** What `source` means, and who renews it. */
const SOURCES = {
  own: 'ordered here',
  lineage: 'certbot’s own',
  uploaded: 'uploaded: nothing renews it',
} as const

let isLoading = false
let failure: ApiError | undefined

function load(): void {
  if (isLoading) return
  isLoading = true
  void loadCertificates()
    .then(() => {
      failure = undefined
    })
    .catch((error: unknown) => {
      if (error instanceof ApiError) failure = error
      redraw()
    })
    .finally(() => {
      isLoading = false
    })
}

export function certificates(state: State, droplet: string): Part {
  const { routes, certificates: all } = state
  if (all === undefined && failure === undefined) load()
  if (failure !== undefined && all === undefined)
    return html`<h1>Certificates</h1>${errorBox(failure)}<button @click=${retry}>Try again</button>`
  if (routes === undefined || all === undefined) return html`<p class="dim">Loading…</p>`
  const used = new Set(all.flatMap(({ users }) => users))
  const lacking = [...routes.values()].filter(
    ({ enable_ssl: wants, certificate, droplet_name: name }) => wants && certificate === null && !used.has(name),
  )
  const sorted = all.toSorted((a, b) => ((a.expiry ?? '') < (b.expiry ?? '') ? -1 : 1))
  return html`<h1>Certificates</h1>
    ${droplet === '' ? nothing : preflight(state, droplet)}
    ${all.length + lacking.length === 0 ? html`<p class="dim">There is none, and no route asks for HTTPS.</p>` : table(state, lacking, sorted)}`
}

function retry(): void {
  failure = undefined
  update({ certificates: undefined })
}

function table(state: State, lacking: readonly ProxyState[], all: readonly CertificateEntry[]): TemplateResult {
  return html`<p class="dim">The one that runs out first is on top.</p><table>
    <thead><tr>
      ${['Certificate', 'Names', 'Used by', 'Life', 'Last order', 'Next order', 'Budget left'].map((name) => html`<th scope="col">${name}</th>`)}
      ${mayChange(state) ? html`<th scope="col">Actions</th>` : nothing}
    </tr></thead>
    <tbody>
      ${lacking.map((route) => html`<tr>${guarded(route, () => lackingRow(state, route))}</tr>`)}
      ${all.map((entry) => html`<tr>${guarded(entry, () => row(state, entry))}</tr>`)}
    </tbody>
  </table>`
}

function lackingRow(
  state: State,
  { droplet_name: name, domain, options, ssl_error: error }: ProxyState,
): TemplateResult {
  return html`
    <th scope="row">${badge('bad', 'none')}</th>
    <td data-label="Names">${[domain, ...options.aliases].map((one) => html`<div>${one}</div>`)}</td>
    <td data-label="Used by"><a href=${href.route(name)}>${name}</a></td>
    <td data-label="Life">${badge('bad', 'no certificate')}</td>
    <td data-label="Last order">${error === undefined ? nothing : html`${badge('bad', error.reason, error.message)} ${age(error.at)}`}</td>
    <td data-label="Next order">${next(state, name, error?.next_attempt_at ?? null)}</td>
    <td data-label="Budget left"></td>
    ${orderCell(state, name, 'Order…')}`
}

function row(state: State, entry: CertificateEntry): TemplateResult {
  const { source, name, certificate, users, fault, last_attempt: last, budget_left: left } = entry
  const [user] = users
  return html`
    <th scope="row">${name}<div class="dim small">${SOURCES[source]}</div></th>
    <td data-label="Names">${certificate?.domains.map((one) => html`<div>${one}</div>`)}<div class="dim small">${certificate?.issuer}</div></td>
    <td data-label="Used by">${users.length === 0 ? html`<span class="dim">nothing</span>` : users.map((one) => userOf(state, one, entry))}</td>
    <td data-label="Life">${certificate === null ? html`${badge('bad', 'cannot be served')} ${fault}` : lifeLeft(certificate)}</td>
    <td data-label="Last order">${last === null ? nothing : html`${badge(last.result === 'issued' ? 'good' : 'bad', last.reason ?? last.result)} ${age(last.at)}`}</td>
    <td data-label="Next order">${user === undefined ? nothing : next(state, user, entry.next_attempt_at)}</td>
    <td data-label="Budget left">${left === null ? nothing : html`<div>${left.certificates} orders this week</div><div>${left.failures} failures this hour</div>`}</td>
    ${source === 'own' && user !== undefined ? orderCell(state, user, 'Renew…') : mayChange(state) ? html`<td></td>` : nothing}`
}

/** A route that uses a certificate, and whether it is served with this one. */
function userOf({ routes }: State, name: string, { certificate }: CertificateEntry): TemplateResult {
  const served = routes?.get(name)?.certificate?.fingerprint_sha256
  const isServed = served === certificate?.fingerprint_sha256
  return html`<div><a href=${href.route(name)}>${name}</a> ${isServed ? nothing : badge('warn', served === undefined ? 'not served' : 'another one is served')}</div>`
}

function next(state: State, name: string, at: string | null): Part {
  const order = state.routes?.get(name)?.ssl_order
  if (order !== undefined) return order.state === 'running' ? 'at the CA now' : `waits, number ${order.position}`
  return at === null ? nothing : html`possible ${ahead(at)}`
}

function orderCell(state: State, name: string, text: string): Part {
  if (!mayChange(state)) return nothing
  const isBusy = stepOf(state, name) !== undefined
  return html`<td data-label="Actions" class="acts">${isBusy ? stepOf(state, name) : html`<a class="button" href=${href.certificates(name)} aria-label=${`${text} ${name}`}>${text}</a>`}</td>`
}
