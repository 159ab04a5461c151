/** Creating and editing a route: a form, then a dry run with its diff and NGINX's verdict, then exactly that. */
import { html, nothing, type TemplateResult } from 'lit-html'
import { ApiError, callApi, field, isObject } from '../api.ts'
import { act, routePath } from '../changes.ts'
import { loadRoute, readInBackground } from '../load.ts'
import { href } from '../location.ts'
import { badge, diffBlock, errorBox, guarded, type Part } from '../parts.ts'
import { redraw, type State } from '../state.ts'
import { type Field, fieldsOf, inputFor, valueIn } from './fields.ts'

interface Checked {
  readonly body: Readonly<Record<string, unknown>>
  /** The revision that the form was made of; nobody may have changed the route meanwhile. */
  readonly precondition: Readonly<Record<string, string>>
  readonly plan: unknown
}

/** What is edited: the route as it was when the form was opened. */
interface Draft {
  readonly droplet: string | null
  readonly route: Readonly<Record<string, unknown>>
  readonly revision: string | undefined
  readonly checked?: Checked | undefined
  readonly error?: ApiError | undefined
}

let fields: { readonly own: readonly Field[]; readonly options: readonly Field[] } | undefined
let draft: Draft | undefined
let isOpening = false

async function open(droplet: string | null): Promise<void> {
  isOpening = true
  try {
    fields ??= fieldsOf((await readInBackground('/openapi.json')).json)
    const { json } = droplet === null ? { json: {} } : await callApi('GET', routePath(droplet))
    const revision = field(json, 'revision')
    draft = {
      droplet,
      route: isObject(json) ? json : {},
      revision: typeof revision === 'string' ? revision : undefined,
    }
  } catch (error) {
    draft = { droplet, route: {}, revision: undefined, error: error instanceof ApiError ? error : undefined }
  }
  isOpening = false
  redraw()
}

export function edit(_: State, droplet: string | null): Part {
  if (draft?.droplet !== droplet || draft === undefined) {
    draft = undefined
    if (!isOpening) void open(droplet)
    return html`<p class="dim">Loading…</p>`
  }
  const { route, checked, error } = draft
  return html`
    <h1>${droplet === null ? 'New route' : `Edit ${droplet}`}</h1>
    <form class="edit" @submit=${submit} @input=${forgetCheck}>
      ${droplet === null ? html`<label for="droplet_name">droplet_name</label><input id="droplet_name" name="droplet_name" required autocomplete="off" /><p class="help">Name of the droplet, and of its route</p>` : nothing}
      ${fields?.own.map((one) => guarded(one, () => inputFor(one, 'route', route[one.name])))}
      <details ?open=${droplet !== null}><summary>Options</summary>
        ${fields?.options.map((one) => guarded(one, () => inputFor(one, 'options', field(route.options, one.name))))}
      </details>
      ${error === undefined ? nothing : errorBox(error)}
      ${checked === undefined ? nothing : planned(checked)}
      <div class="tools">
        <button name="check">${checked === undefined ? 'Check' : 'Check again'}</button>
        ${checked !== undefined && isAccepted(checked) ? html`<button type="button" class="primary" @click=${apply}>Apply exactly this</button>` : nothing}
        <a class="button" href=${droplet === null ? href.routes : href.route(droplet)} @click=${drop}>Cancel</a>
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

/** The body of a PUT: what the form says, and of the rest nothing. */
function bodyIn(form: HTMLFormElement): Record<string, unknown> {
  const values = (prefix: string, all: readonly Field[]) =>
    Object.fromEntries(
      all.map((one) => [one.name, valueIn(form, prefix, one)]).filter(([, value]) => value !== undefined),
    )
  return { ...values('route', fields?.own ?? []), options: values('options', fields?.options ?? []) }
}

async function submit(event: SubmitEvent): Promise<void> {
  event.preventDefault()
  const form = event.currentTarget
  if (!(form instanceof HTMLFormElement) || draft === undefined) return
  const { droplet, revision } = draft
  const name = droplet ?? String(new FormData(form).get('droplet_name'))
  const precondition = revision === undefined ? { 'if-none-match': '*' } : { 'if-match': `"${revision}"` }
  try {
    const body = bodyIn(form)
    const { json } = await callApi('PUT', routePath(name, '?dry_run=true'), { body, headers: precondition })
    draft = {
      ...draft,
      checked: { body: { ...body, droplet_name: name }, precondition, plan: field(json, 'plan') },
      error: undefined,
    }
  } catch (error) {
    draft = {
      ...draft,
      checked: undefined,
      error: error instanceof ApiError ? error : new ApiError(0, 'INVALID_REQUEST', String(error)),
    }
  }
  redraw()
}

async function apply(): Promise<void> {
  if (draft?.checked === undefined) return
  const { body, precondition } = draft.checked
  const name = String(body.droplet_name)
  const answer = await act({
    method: 'PUT',
    path: routePath(name),
    body,
    headers: precondition,
    what: `${name}: ${draft.droplet === null ? 'create' : 'change'}`,
  })
  if (answer === undefined) return
  draft = undefined
  await loadRoute(name).catch(() => undefined)
  history.replaceState(null, '', href.route(name))
  dispatchEvent(new HashChangeEvent('hashchange'))
}

/** What was checked is not what the form says any more. */
function forgetCheck(): void {
  if (draft?.checked === undefined && draft?.error === undefined) return
  draft = { ...draft, checked: undefined, error: undefined }
  redraw()
}

function drop(): void {
  draft = undefined
}
