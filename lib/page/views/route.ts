/** One route: the way of a request, what differs from the defaults, its checks, its versions, and what can be done with it. */
import { html, nothing, svg, type TemplateResult } from 'lit-html'
import type { Version } from '../../history/history.ts'
import type { ProxyDetails, ProxyState } from '../../route/state.ts'
import { ApiError, field } from '../api.ts'
import { act, isBusy, routePath } from '../changes.ts'
import { readInBackground, readRoute } from '../load.ts'
import { href } from '../location.ts'
import { age, badge, diffBlock, errorBox, guarded, type Part } from '../parts.ts'
import { mayChange, redraw, type State } from '../state.ts'
import { deleteDialog } from './delete.ts'
import { droplet, lifeLeft, served, setMaintenance } from './routes.ts'

type ShownVersion = Version & { readonly diff: string }

/** What is shown of one route beside the list: read again when the route changes, and every 15 s for its checks. */
interface Read {
  readonly name: string
  readonly atMs: number
  readonly updatedAt: string | undefined
  readonly details?: ProxyDetails | undefined
  readonly versions?: readonly ShownVersion[]
  readonly text?: string
  readonly error?: ApiError
}

const READ_EVERY_MS = 15_000
let read: Read | undefined
let isReading = false

/** Reads what is shown if it is of another route, of another state of it, or old. */
function keepRead(name: string, route: ProxyState | undefined): void {
  const isOld = read === undefined || Date.now() - read.atMs > READ_EVERY_MS
  if (isReading || (read?.name === name && read.updatedAt === route?.updated_at && !isOld)) return
  isReading = true
  if (read?.name !== name) read = undefined
  void readAll(name, route?.updated_at).then((now) => {
    read = now
    isReading = false
    redraw()
  })
}

async function readAll(name: string, updatedAt: string | undefined): Promise<Read> {
  const now = { name, atMs: Date.now(), updatedAt }
  try {
    const [details, history] = await Promise.all([
      readRoute(name),
      readInBackground(routePath(name, '/history')).catch(() => undefined),
    ])
    const versions = field(history?.json, 'versions')
    const explained = details === undefined ? undefined : await textFor(details).catch(() => undefined)
    return {
      ...now,
      details,
      versions: Array.isArray(versions) ? versions : [],
      ...(explained === undefined ? {} : { text: explained }),
    }
  } catch (error) {
    return error instanceof ApiError ? { ...now, error } : now
  }
}

/** The server block that NGINX runs for a route. */
async function textFor({ domain }: ProxyDetails): Promise<string | undefined> {
  const { json } = await readInBackground(`/explain?url=${encodeURIComponent(`http://${domain}/`)}`)
  const text = field(field(json, 'server_block'), 'text')
  return typeof text === 'string' ? text : undefined
}

export function route(state: State, name: string): Part {
  const listed = state.routes?.get(name)
  keepRead(name, listed)
  const own = read?.name === name ? read : undefined
  const found = own?.details ?? listed
  if (own?.error !== undefined) return html`<h1>${name}</h1>${errorBox(own.error)}`
  if (found === undefined)
    return own === undefined
      ? html`<p class="dim">Loading…</p>`
      : html`<h1>${name}</h1><p>There is no route of this name.</p>${versions(state, name, own.versions ?? [])}`
  return html`
    <h1>${name}</h1>
    <p>${served(found)} ${droplet(found)} <span class="dim">changed ${age(found.updated_at)}</span></p>
    ${mayChange(state) ? acts(found) : nothing}
    ${found.ssl_error === undefined ? nothing : html`<div class="error"><p><strong>The last order failed: ${found.ssl_error.reason}</strong></p><p>${found.ssl_error.message}</p><p>Next attempt ${new Date(found.ssl_error.next_attempt_at).toLocaleString()}</p></div>`}
    <h2>The way of a request</h2>${guarded(found, () => way(found))}
    <h2>Options that differ from the defaults</h2>${guarded(found, () => differing(found))}
    ${own?.details === undefined ? nothing : html`<h2>Checks of the droplet</h2>${guarded(own.details.health, () => plot(own.details?.health.checks ?? []))}`}
    <h2>Versions</h2>${versions(state, name, own?.versions ?? [])}
    ${own?.text === undefined ? nothing : html`<details><summary>The text that NGINX runs</summary><pre>${own.text}</pre></details>`}
    ${deleteDialog(found)}`
}

function acts(found: ProxyState): TemplateResult {
  const { droplet_name: name, options, enable_ssl: wantsSsl } = found
  const busy = isBusy(name)
  const check = () => act({ method: 'POST', path: routePath(name, '/check'), what: `${name}: check`, droplets: [name] })
  const openDelete = () => {
    const dialog = document.getElementById('delete')
    if (dialog instanceof HTMLDialogElement) dialog.showModal()
  }
  return html`<div class="tools">
    <a class="button" href=${href.edit(name)}>Edit</a>
    <button ?disabled=${busy} @click=${check}>Check now</button>
    <button ?disabled=${busy} @click=${() => setMaintenance(found, !options.maintenance)}>${options.maintenance ? 'Back to work' : 'Maintenance'}</button>
    ${wantsSsl ? html`<a class="button" href=${href.certificates}>Certificate</a>` : nothing}
    <button class="danger" ?disabled=${busy} @click=${openDelete}>Delete…</button>
  </div>`
}

/** Name → certificate → server block → upstream. */
function way(found: ProxyState): TemplateResult {
  const { domain, options, certificate, upstream, ssl_enabled: isSecure } = found
  const names = [domain, ...options.aliases]
  return html`<ol class="way">
    <li><h3>Names</h3>${names.map((name) => html`<div><a href=${href.explain(`${isSecure ? 'https' : 'http'}://${name}/`)}>${name}</a></div>`)}</li>
    <li><h3>Certificate</h3>${certificate === null ? (found.enable_ssl ? 'none yet: HTTP' : 'none: HTTP only') : html`${certificate.issuer}<div>${lifeLeft(certificate)}</div>`}</li>
    <li><h3>NGINX</h3>${served(found)}${options.allow.length === 0 ? nothing : html`<div>only for ${options.allow.join(', ')}</div>`}</li>
    <li><h3>${options.redirect_to === null ? 'Droplet' : 'Redirect'}</h3>${options.redirect_to ?? upstream}<div>${droplet(found)}</div></li>
  </ol>`
}

const DEFAULTS_SHOWN = 'None.'

function differing({ options }: ProxyState): Part {
  const set = Object.entries(options).filter(([, value]) => isSet(value))
  if (set.length === 0) return html`<p class="dim">${DEFAULTS_SHOWN}</p>`
  return html`<dl>${set.map(([name, value]) => html`<dt>${name}</dt><dd>${typeof value === 'string' ? value : JSON.stringify(value)}</dd>`)}</dl>`
}

/** Off, empty and unset values say nothing; of the others, all are shown, since another version has other defaults. */
function isSet(value: unknown): boolean {
  return value !== null && value !== false && !(Array.isArray(value) && value.length === 0)
}

const [WIDTH, HEIGHT] = [600, 60]

/** The latency of each check, and which of them failed. */
function plot(checks: ProxyDetails['health']['checks']): Part {
  if (checks.length < 2) return html`<p class="dim">Not enough checks yet.</p>`
  const most = Math.max(10, ...checks.map(({ ms }) => ms))
  const x = (i: number) => (i / (checks.length - 1)) * WIDTH
  const y = (ms: number) => HEIGHT - (ms / most) * HEIGHT
  const failed = checks.filter(({ ok }) => !ok).length
  const label = `Latency of ${checks.length} checks, at most ${most} ms; ${failed} failed`
  return html`<svg class="plot" viewBox="0 -4 ${WIDTH} ${HEIGHT + 8}" preserveAspectRatio="none" role="img" aria-label=${label}>
    <title>${label}</title>
    ${svg`<polyline points=${checks.map(({ ms }, i) => `${x(i).toFixed(1)},${y(ms).toFixed(1)}`).join(' ')}></polyline>`}
    ${checks.map(({ ok }, i) => (ok ? nothing : svg`<rect class="bad" x=${x(i) - 1} y="0" width="3" height=${HEIGHT}></rect>`))}
  </svg><p class="dim">${label}</p>`
}

function versions(state: State, name: string, all: readonly ShownVersion[]): Part {
  if (all.length === 0) return html`<p class="dim">None.</p>`
  return html`<ol class="versions">${all.map(
    (one, i) => html`<li><details>
    <summary>Version ${one.version}: ${one.outcome} ${age(one.at)}${one.actor === undefined ? nothing : html` by ${one.actor.name ?? one.actor.kind}`}${i === 0 ? html` ${badge('good', 'current')}` : nothing}</summary>
    ${diffBlock(one.diff)}
    ${i > 0 && one.route !== null && mayChange(state) ? html`<button ?disabled=${isBusy(name)} @click=${() => rollBack(name, one.version)}>Put version ${one.version} again</button>` : nothing}
  </details></li>`,
  )}</ol>`
}

async function rollBack(name: string, to: number): Promise<void> {
  const path = routePath(name, '/rollback')
  await act({ method: 'POST', path, body: { to }, what: `${name}: back to version ${to}`, droplets: [name] })
  read = undefined
  redraw()
}
