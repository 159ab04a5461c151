/** The certificates, which of them run out first, and what orders would do. */
import { html, nothing, type TemplateResult } from 'lit-html'
import type { ProxyState } from '../../route/state.ts'
import { ApiError, callApi, field } from '../api.ts'
import { act, isBusy, routePath } from '../changes.ts'
import { href } from '../location.ts'
import { badge, errorBox, guarded, type Part } from '../parts.ts'
import { mayChange, redraw, type State } from '../state.ts'
import { lifeLeft } from './routes.ts'

interface Preflight {
  readonly name: string
  readonly answer?: unknown
  readonly error?: ApiError
}

/** What an order for one route would do, before it is made. */
let asked: Preflight | undefined

export function certificates(state: State): Part {
  if (state.routes === undefined) return html`<p class="dim">Loading…</p>`
  const wanting = [...state.routes.values()].filter(({ enable_ssl: wantsSsl }) => wantsSsl)
  const expiry = ({ certificate }: ProxyState) => certificate?.expiry ?? ''
  wanting.sort((a, b) => (expiry(a) < expiry(b) ? -1 : 1))
  return html`<h1>Certificates</h1>
    ${
      wanting.length === 0
        ? html`<p class="dim">No route is served over HTTPS.</p>`
        : html`<table>
      <thead><tr><th scope="col">Route</th><th scope="col">Names</th><th scope="col">Issuer</th><th scope="col">Life</th><th scope="col">Last order</th>${mayChange(state) ? html`<th scope="col">Acts</th>` : nothing}</tr></thead>
      <tbody>${wanting.map((route) => html`<tr>${guarded(route, () => row(state, route))}</tr>`)}</tbody>
    </table>`
    }
    ${asked === undefined ? nothing : preflight(asked)}`
}

function row(state: State, route: ProxyState): TemplateResult {
  const { droplet_name: name, certificate, ssl_error: error, ssl_order: order, domain, options } = route
  const names = certificate?.domains ?? [domain, ...options.aliases]
  return html`
    <th scope="row"><a href=${href.route(name)}>${name}</a></th>
    <td data-label="Names">${names.join(', ')}</td>
    <td data-label="Issuer">${certificate?.issuer ?? html`<span class="dim">none</span>`}</td>
    <td data-label="Life">${certificate === null ? badge('warn', 'no certificate') : lifeLeft(certificate)}</td>
    <td data-label="Last order">${order !== undefined ? (order.state === 'running' ? 'at the CA now' : `waits, number ${order.position}`) : error === undefined ? nothing : html`${badge('bad', error.reason)} next ${new Date(error.next_attempt_at).toLocaleString()}`}</td>
    ${mayChange(state) ? html`<td data-label="Acts" class="acts"><button ?disabled=${isBusy(name)} @click=${() => ask(name)}>${certificate === null ? 'Order…' : 'Renew…'}</button></td>` : nothing}`
}

/** The preflight comes first: an order that fails costs the budget of its name. */
async function ask(name: string): Promise<void> {
  asked = { name }
  redraw()
  try {
    const { json } = await callApi('POST', routePath(name, '/ssl?dry_run=true'), { body: {} })
    asked = { name, answer: json }
  } catch (error) {
    asked = error instanceof ApiError ? { name, error } : undefined
  }
  redraw()
  document.getElementById('preflight')?.scrollIntoView()
}

function preflight({ name, answer, error }: Preflight): TemplateResult {
  const checks = field(answer, 'preflight')
  const isDue = field(answer, 'would_order') === true
  return html`<section id="preflight" aria-label="Before the order">
    <h2>${name}: before the order</h2>
    ${error === undefined ? nothing : errorBox(error)}
    ${answer === undefined && error === undefined ? html`<p class="dim">Checking DNS, the challenge path and CAA…</p>` : nothing}
    ${Array.isArray(checks) ? html`<ul>${checks.map((one) => html`<li>${badge(field(one, 'ok') === true ? 'good' : 'bad', String(field(one, 'check')))} ${field(one, 'domain')}: ${field(one, 'detail')}</li>`)}</ul>` : nothing}
    ${
      answer === undefined
        ? nothing
        : html`<p>${isDue ? 'A certificate would be ordered.' : 'The certificate that is there is not due: none would be ordered.'}</p>
      <div class="tools"><button class="primary" ?disabled=${isBusy(name)} @click=${() => order(name, !isDue)}>${isDue ? 'Order it' : 'Order a new one anyway'}</button>
      <button @click=${close}>Cancel</button></div>`
    }
  </section>`
}

async function order(name: string, isForced: boolean): Promise<void> {
  close()
  const body = isForced ? { force_renew: true } : {}
  await act({
    method: 'POST',
    path: routePath(name, '/ssl'),
    body,
    what: `${name}: order a certificate`,
    droplets: [name],
  })
}

function close(): void {
  asked = undefined
  redraw()
}
