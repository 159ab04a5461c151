/** Creating and editing a route: a form, then a dry run with its diff and NGINX's verdict, then exactly that. */

import { html, nothing, type TemplateResult } from 'lit-html'
import type { ProxyState } from '../../route/state.ts'
import { ApiError, callApi, field } from '../api.ts'
import { beforeNextFrame } from '../browser.ts'
import { act, ifUnchanged, routePath } from '../changes.ts'
import { readRoute } from '../load.ts'
import { href, replaceView } from '../location.ts'
import { badge, diffBlock, errorBox, guarded, type Part } from '../parts.ts'
import { mayChange, redraw, type State } from '../state.ts'
import { type Field, type Fields, inputFor, readFields, valueIn } from './fields.ts'

interface Checked {
  readonly name: string
  readonly body: unknown
  readonly plan: unknown
}

/** What is edited: the route as it was when the form was opened. */
interface Draft {
  readonly droplet: string | null
  readonly fields: Fields
  /** The values at the start. */
  readonly own: Readonly<Record<string, unknown>>
  readonly options: Readonly<Record<string, unknown>>
  /** Nobody may have changed the route meanwhile, or created it. */
  readonly precondition: Readonly<Record<string, string>>
  /** Several have no URL, and it would not say which of them. */
  readonly isSeveral: boolean
  readonly checked?: Checked | undefined
  readonly error?: ApiError | undefined
}

let draft: Draft | undefined
let opening: { readonly droplet: string | null; readonly error?: ApiError } | undefined

async function open(droplet: string | null): Promise<void> {
  opening = { droplet }
  try {
    const fields = await readFields()
    const route = droplet === null ? undefined : await readRoute(droplet)
    if (droplet !== null && route === undefined)
      throw new ApiError(404, 'PROXY_NOT_FOUND', 'There is no route of this name')
    const isSeveral = route !== undefined && route.upstreams.length > 1
    draft = {
      droplet,
      fields,
      own: route === undefined ? {} : ownOf(route, isSeveral),
      options: { ...route?.options },
      precondition: route === undefined ? { 'if-none-match': '*' } : ifUnchanged(route),
      isSeveral,
    }
  } catch (error) {
    opening = { droplet, ...(error instanceof ApiError ? { error } : {}) }
  }
  redraw()
}

/** What the form shows of a route: its answer says with what it is served, a request what was chosen. */
function ownOf(route: ProxyState, isSeveral: boolean): Draft['own'] {
  const { certificate_from: certificate, upstream, upstreams } = route
  return { ...route, certificate, ...(isSeveral ? { upstreams } : { upstream, upstreams: [] }) }
}

export function edit(state: State, droplet: string | null): Part {
  if (!mayChange(state)) return html`<h1>Edit</h1><p>This token may only read.</p>`
  if (draft === undefined || draft.droplet !== droplet) {
    draft = undefined
    if (opening === undefined || opening.droplet !== droplet) void open(droplet)
    return opening?.error === undefined ? html`<p class="dim">Loading…</p>` : errorBox(opening.error)
  }
  return form(draft)
}

function form({ droplet, fields, own, options, isSeveral, checked, error }: Draft): TemplateResult {
  const isShown = ({ name }: Field) => name !== (isSeveral ? 'upstream' : 'upstream_scheme')
  return html`
    <h1>${droplet === null ? 'New route' : `Edit ${droplet}`}</h1>
    <form class="edit" @submit=${submit} @input=${edited}>
      <div class="fields">
        ${droplet === null ? html`<div class="field"><label for="droplet_name">droplet_name</label><input id="droplet_name" name="droplet_name" required autocomplete="off" /><p class="help">Name of the droplet, and of its route</p></div>` : nothing}
        ${fields.own.filter(isShown).map((one) => guarded(one, () => inputFor(one, 'route', own[one.name])))}
      </div>
      <details ?open=${droplet !== null}><summary>Options</summary><div class="fields">
        ${fields.options.filter(isShown).map((one) => guarded(one, () => inputFor(one, 'options', options[one.name])))}
      </div></details>
      <div id="checked">${error === undefined ? nothing : errorBox(error)}${checked === undefined ? nothing : planned(checked)}</div>
      <div class="tools pinned">
        <button name="check" class=${checked === undefined ? 'primary' : ''}>${checked === undefined ? 'Check' : 'Check again'}</button>
        ${checked !== undefined && isAccepted(checked) ? html`<button type="button" class="primary" @click=${apply}>Apply exactly this</button>` : nothing}
        <a class="button" href=${droplet === null ? href.routes : href.route(droplet)} @click=${drop}>Cancel</a>
        ${checked === undefined ? html`<span class="dim">Nothing is changed by a check.</span>` : nothing}
      </div>
    </form>`
}

function isAccepted({ plan }: Checked): boolean {
  return field(field(plan, 'nginx_test'), 'ok') === true
}

function planned(checked: Checked): TemplateResult {
  const changes = field(checked.plan, 'changes')
  const all: readonly unknown[] = Array.isArray(changes) ? changes : []
  return html`<section aria-label="What would change">
    <h2>What would change</h2>
    ${all.length === 0 ? html`<p>Nothing.</p>` : all.map((one) => html`<h3>${field(one, 'action')} <code>${field(one, 'path')}</code></h3>${diffBlock(String(field(one, 'diff')))}`)}
    <p>${isAccepted(checked) ? badge('good', 'NGINX accepts it') : badge('bad', 'NGINX rejects it')}</p>
    ${isAccepted(checked) ? nothing : html`<pre>${field(field(checked.plan, 'nginx_test'), 'output')}</pre>`}
  </section>`
}

/** The body of a PUT: what the form says; of an empty field nothing, which is the default. */
function bodyIn(from: HTMLFormElement, { own, options }: Fields): Record<string, unknown> {
  const values = (prefix: string, all: readonly Field[]) =>
    Object.fromEntries(
      all.map((one) => [one.name, valueIn(from, prefix, one)]).filter(([, value]) => value !== undefined),
    )
  return { ...values('route', own), options: values('options', options) }
}

async function submit(event: SubmitEvent): Promise<void> {
  event.preventDefault()
  const from = event.currentTarget
  if (!(from instanceof HTMLFormElement) || draft === undefined) return
  const { droplet, precondition: headers, fields } = draft
  const name = droplet ?? String(new FormData(from).get('droplet_name')).trim()
  try {
    const body = bodyIn(from, fields)
    const { json } = await callApi('PUT', routePath(name, '?dry_run=true'), { body, headers })
    draft = { ...draft, checked: { name, body, plan: field(json, 'plan') }, error: undefined }
  } catch (thrown) {
    const error = thrown instanceof ApiError ? thrown : new ApiError(0, 'INVALID_REQUEST', String(thrown))
    draft = { ...draft, checked: undefined, error }
  }
  redraw()
  beforeNextFrame(() => document.getElementById('checked')?.scrollIntoView({ block: 'nearest' }))
}

async function apply(): Promise<void> {
  if (draft?.checked === undefined) return
  const { droplet, precondition: headers, checked } = draft
  const { name, body } = checked
  const answer = await act({
    method: 'PUT',
    droplet: name,
    body,
    headers,
    what: droplet === null ? 'create' : 'change',
  })
  if (answer === undefined) return
  drop()
  replaceView(href.route(name))
}

/** What was checked is not what the form says any more. */
function edited({ currentTarget: from }: Event): void {
  if (draft === undefined || !(from instanceof HTMLFormElement)) return
  const several = from.elements.namedItem('route.upstreams')
  const isSeveral = several instanceof HTMLTextAreaElement && several.value.trim() !== ''
  draft = { ...draft, checked: undefined, error: undefined, isSeveral }
  redraw()
}

/** The next form begins with what the route is then. */
function drop(): void {
  draft = undefined
  opening = undefined
}
