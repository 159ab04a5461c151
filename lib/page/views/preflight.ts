/** What an order for a route would do. It comes first: an order that fails costs the budget of its name. */
import { html, nothing, type TemplateResult } from 'lit-html'
import { ApiError, callApi, field } from '../api.ts'
import { act, routePath, stepOf } from '../changes.ts'
import { href, replaceView } from '../location.ts'
import { badge, errorBox, type Part } from '../parts.ts'
import { mayChange, redraw, type State } from '../state.ts'

interface Preflight {
  readonly name: string
  readonly answer?: unknown
  readonly error?: ApiError
}

let asked: Preflight | undefined

export function preflight(state: State, name: string): Part {
  if (!mayChange(state)) return nothing
  if (asked?.name !== name) void ask(name)
  const { answer, error } = asked ?? {}
  return html`<section aria-label="Before the order">
    <h2>${name}: before the order</h2>
    ${error === undefined ? nothing : errorBox(error)}
    ${answer === undefined && error === undefined ? html`<p class="dim">Checking DNS, the challenge path and CAA…</p>` : nothing}
    ${answer === undefined ? nothing : checks(state, name, answer)}
    <div class="tools">${answer === undefined ? nothing : orderButton(state, name, answer)}
      ${error === undefined ? nothing : html`<button @click=${() => ask(name)}>Check again</button>`}
      <a class="button" href=${href.certificates()} @click=${forget}>Cancel</a></div>
  </section>`
}

function checks(state: State, name: string, answer: unknown): TemplateResult {
  const all = field(answer, 'preflight')
  const isDue = field(answer, 'would_order') === true
  const until = state.routes?.get(name)?.certificate?.expiry
  return html`
    ${Array.isArray(all) ? html`<ul>${all.map((one) => html`<li>${badge(field(one, 'ok') === true ? 'good' : 'bad', String(field(one, 'check')))} ${field(one, 'domain')}: ${field(one, 'detail')}</li>`)}</ul>` : nothing}
    <p>${isDue ? 'A certificate would be ordered.' : `The certificate that is there is not due${until === undefined ? '' : ` (until ${new Date(until).toLocaleDateString()})`}: none would be ordered.`}</p>`
}

function orderButton(state: State, name: string, answer: unknown): TemplateResult {
  const isDue = field(answer, 'would_order') === true
  const isBusy = stepOf(state, name) !== undefined
  return html`<button class="primary" ?disabled=${isBusy} @click=${() => order(name, !isDue)}>${isDue ? 'Order it' : 'Order a new one anyway'}</button>`
}

async function ask(name: string): Promise<void> {
  asked = { name }
  const answer = await callApi('POST', routePath(name, '/ssl?dry_run=true'), { body: {} }).then(
    ({ json }) => ({ answer: json }),
    (error: unknown) => (error instanceof ApiError ? { error } : {}),
  )
  if (asked?.name === name) asked = { name, ...answer }
  redraw()
}

async function order(name: string, isForced: boolean): Promise<void> {
  forget()
  replaceView(href.certificates())
  const body = isForced ? { force_renew: true } : {}
  await act({ method: 'POST', droplet: name, rest: '/ssl', body, what: 'order a certificate' })
}

/** The next preflight is another one. */
function forget(): void {
  asked = undefined
}
