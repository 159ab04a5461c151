/** What answers a URL, why, and what NGINX itself says. */
import { html, nothing } from 'lit-html'
import { ApiError, callApi, field, isObject } from '../api.ts'
import { href } from '../location.ts'
import { badge, errorBox, guarded, type Part } from '../parts.ts'
import { redraw, type State } from '../state.ts'

let asked: { readonly url: string; readonly answer?: unknown; readonly error?: ApiError } | undefined

export function explain(_: State, url: string): Part {
  if (url !== '' && asked?.url !== url) void ask(url)
  const own = asked?.url === url ? asked : undefined
  return html`<h1>Explain</h1>
    <p class="dim">What answers a URL, and why.</p>
    <form class="tools" @submit=${submit}>
      <input name="url" type="search" inputmode="url" required placeholder="https://app.example.com/path" aria-label="URL" .defaultValue=${url} />
      <button class="primary">Explain</button>
    </form>
    ${own === undefined ? nothing : guarded(own.answer, () => shown(own.answer, own.error))}`
}

/** Shown with words of their own. */
const SHOWN = ['summary', 'agrees', 'difference', 'url']

function shown(answer: unknown, error: ApiError | undefined): Part {
  if (error !== undefined) return errorBox(error)
  if (answer === undefined) return html`<p class="dim">Asking NGINX, and through it the droplet…</p>`
  const name = field(field(answer, 'route'), 'droplet_name')
  const agrees = field(answer, 'agrees')
  const rest = Object.entries(isObject(answer) ? answer : {}).filter(([key]) => !SHOWN.includes(key))
  return html`
    <p class="summary">${field(answer, 'summary')}</p>
    ${typeof agrees === 'boolean' ? html`<p>${agrees ? badge('good', 'NGINX itself does the same') : html`${badge('bad', 'NGINX itself does something else')} ${field(answer, 'difference')}`}</p>` : nothing}
    ${typeof name === 'string' ? html`<p><a class="button" href=${href.route(name)}>Route ${name}</a></p>` : nothing}
    ${rest.map(([key, value]) => html`<h2>${wordsOf(key)}</h2>${tree(value)}`)}`
}

const wordsOf = (key: string) => key.replaceAll('_', ' ')

/** Whatever the API says about it. */
function tree(value: unknown): Part {
  if (value === null || value === undefined) return html`<span class="dim">none</span>`
  if (Array.isArray(value)) return html`<ul>${value.map((one) => html`<li>${tree(one)}</li>`)}</ul>`
  if (!isObject(value))
    return typeof value === 'string' && value.includes('\n') ? html`<pre>${value}</pre>` : String(value)
  return html`<dl>${Object.entries(value).map(([key, one]) => html`<dt>${wordsOf(key)}</dt><dd>${tree(one)}</dd>`)}</dl>`
}

async function ask(url: string): Promise<void> {
  asked = { url }
  const answer = await callApi('GET', `/explain?url=${encodeURIComponent(url)}`).then(
    ({ json }) => ({ answer: json }),
    (error: unknown) => (error instanceof ApiError ? { error } : {}),
  )
  if (asked.url === url) asked = { url, ...answer }
  redraw()
}

/** The same URL is asked about again: NGINX may answer differently by now. */
function submit(event: SubmitEvent): void {
  event.preventDefault()
  const form = event.currentTarget
  if (!(form instanceof HTMLFormElement)) return
  const url = String(new FormData(form).get('url')).trim()
  if (asked?.url === url) void ask(url)
  location.hash = href.explain(url)
}
