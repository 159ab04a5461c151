/** What answers a URL, why, and what NGINX itself says. */
import { html, nothing } from 'lit-html'
import { ApiError, callApi, field, isObject } from '../api.ts'
import { href } from '../location.ts'
import { errorBox, guarded, type Part } from '../parts.ts'
import { redraw, type State } from '../state.ts'

let asked: { readonly url: string; readonly answer?: unknown; readonly error?: ApiError } | undefined

export function explain(_: State, url: string): Part {
  if (url !== '' && asked?.url !== url) void ask(url)
  return html`<h1>Explain</h1>
    <form class="tools" @submit=${submit}>
      <input name="url" type="text" inputmode="url" required placeholder="https://app.example.com/path" aria-label="URL" .defaultValue=${url} />
      <button>Explain</button>
    </form>
    ${asked === undefined || asked.url !== url ? nothing : guarded(asked.answer, () => shown(asked?.answer, asked?.error))}`
}

function shown(answer: unknown, error: ApiError | undefined): Part {
  if (error !== undefined) return errorBox(error)
  if (answer === undefined) return html`<p class="dim">Asking NGINX…</p>`
  const name = field(field(answer, 'route'), 'droplet_name')
  return html`
    <p>${field(answer, 'summary')}</p>
    ${typeof name === 'string' ? html`<p>Route <a href=${href.route(name)}>${name}</a></p>` : nothing}
    ${tree(answer)}`
}

/** Everything that the API says about it. */
function tree(value: unknown): Part {
  if (Array.isArray(value)) return html`<ul>${value.map((one) => html`<li>${tree(one)}</li>`)}</ul>`
  if (!isObject(value))
    return typeof value === 'string' && value.includes('\n') ? html`<pre>${value}</pre>` : String(value)
  return html`<dl>${Object.entries(value).map(([name, one]) => html`<dt>${name}</dt><dd>${tree(one)}</dd>`)}</dl>`
}

async function ask(url: string): Promise<void> {
  asked = { url }
  const answer = await callApi('GET', `/explain?url=${encodeURIComponent(url)}`).then(
    ({ json }) => ({ answer: json }),
    (error: unknown) => (error instanceof ApiError ? { error } : {}),
  )
  asked = { url, ...answer }
  redraw()
}

function submit(event: SubmitEvent): void {
  event.preventDefault()
  const form = event.currentTarget
  if (form instanceof HTMLFormElement) location.hash = href.explain(String(new FormData(form).get('url')))
}
