/** One route: the way of a request, what differs from the defaults, its checks, its versions, and what can be done with it. */

import { html, nothing, svg, type TemplateResult } from 'lit-html'
import type { Version } from '../../history/history.ts'
import type { ProxyDetails, ProxyState } from '../../route/state.ts'
import { ApiError, callApi, field } from '../api.ts'
import { nowMs } from '../browser.ts'
import { act, routePath, stepOf } from '../changes.ts'
import { readInBackground, readRoute } from '../load.ts'
import { href } from '../location.ts'
import { actorName, age, ahead, badge, diffBlock, errorBox, guarded, type Part, urlOf } from '../parts.ts'
import { mayChange, redraw, type State } from '../state.ts'
import { deleteDialog } from './delete.ts'
import { differing, type Fields, readFields } from './fields.ts'
import { check, setMaintenance } from './routes.ts'
import { checked, droplet, lifeLeft, served } from './status.ts'

type ShownVersion = Version & { readonly diff: string }

/** What is shown of one route beside the list: read again when the route changes, and every 15 s for its checks. */
interface Read {
  readonly name: string
  readonly atMs: number
  readonly updatedAt: string | undefined
  readonly details?: ProxyDetails | undefined
  readonly versions?: readonly ShownVersion[]
  readonly fields?: Fields | undefined
  readonly error?: ApiError
}

const READ_EVERY_MS = 15_000
let read: Read | undefined
let isReading = false

/** Reads what is shown if it is of another route, of another state of it, or old. */
function keepRead(name: string, route: ProxyState | undefined): void {
  const isOld = read === undefined || nowMs() - read.atMs > READ_EVERY_MS
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
  const now = { name, atMs: nowMs(), updatedAt }
  try {
    const [details, history, fields] = await Promise.all([
      readRoute(name),
      readInBackground(routePath(name, '/history')).catch(() => undefined),
      readFields().catch(() => undefined),
    ])
    const versions = field(history?.json, 'versions')
    return { ...now, details, fields, versions: Array.isArray(versions) ? versions : [] }
  } catch (error) {
    return error instanceof ApiError ? { ...now, error } : now
  }
}

let shown: { readonly name: string; readonly revision: string; readonly text: Part } | undefined

/** The server block that answers a route. Only on request: to explain a URL is to send the droplet a request. */
function serverBlock(route: ProxyState): Part {
  const { droplet_name: name, revision } = route
  const isShown = shown?.name === name && shown.revision === revision
  return html`<h2>The text that NGINX runs</h2>${isShown ? shown?.text : html`<button @click=${() => readText(route)}>Show it</button>`}`
}

async function readText(route: ProxyState): Promise<void> {
  const { droplet_name: name, revision } = route
  const text = await callApi('GET', `/explain?url=${encodeURIComponent(urlOf(route))}`).then(
    ({ json }) => html`<pre>${field(field(json, 'server_block'), 'text')}</pre>`,
    (error: unknown) => (error instanceof ApiError ? errorBox(error) : String(error)),
  )
  shown = { name, revision, text }
  redraw()
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
      : html`<h1>${name}</h1><p>There is no route of this name.</p>${versions(state, name, own.versions ?? [], false)}`
  const checks = own?.details?.health
  return html`
    <h1>${name}</h1>
    <p class="dim">Changed ${age(found.updated_at)}${found.updated_by === null ? nothing : html` by ${actorName(found.updated_by)}`} · managed by ${found.source}</p>
    ${mayChange(state) ? acts(state, found) : nothing}
    ${guarded(found, () => trouble(found))}
    <h2>The way of a request</h2>${guarded(found, () => way(state, found, own?.details))}
    <h2>Options that differ from the defaults</h2>${guarded(found, () => optionsOf(found, own?.fields))}
    ${checks === undefined || found.upstream === null ? nothing : html`<h2>Checks of the droplet</h2>${guarded(checks, () => plot(checks))}`}
    <h2>Versions</h2>${versions(state, name, own?.versions ?? [], true)}
    ${serverBlock(found)}
    ${deleteDialog(found)}`
}

function acts(state: State, found: ProxyState): TemplateResult {
  const { droplet_name: name, options, enable_ssl: wantsSsl, certificate } = found
  const isBusy = stepOf(state, name) !== undefined
  const isOrdered = wantsSsl && found.served_by === undefined && (certificate === null || certificate.source === 'own')
  const openDelete = () => {
    const dialog = document.getElementById('delete')
    if (dialog instanceof HTMLDialogElement) dialog.showModal()
  }
  return html`<div class="tools">
    <a class="button" href=${href.edit(name)}>Edit</a>
    <button ?disabled=${isBusy} @click=${() => check(name)}>Check now</button>
    <button ?disabled=${isBusy} @click=${() => setMaintenance(found, !options.maintenance)}>${options.maintenance ? 'End maintenance' : 'Maintenance'}</button>
    ${isOrdered ? html`<a class="button" href=${href.certificates(name)}>${certificate === null ? 'Order a certificate…' : 'Renew the certificate…'}</a>` : nothing}
    <button class="danger" ?disabled=${isBusy} @click=${openDelete}>Delete…</button>
  </div>`
}

/** What is wrong with the route itself, and what helps. */
function trouble({ status, ssl_error: error, droplet_name: name }: ProxyState): Part {
  const again = html`<a href=${href.edit(name)}>Edit</a>, then Check shows what would be written, and Apply writes it.`
  return html`
    ${status === 'disabled' ? html`<div class="error"><p><strong>It is not served: there is no symlink in sites-enabled.</strong></p><p>${again}</p></div>` : nothing}
    ${status === 'drifted' ? html`<div class="error warn"><p><strong>Its file was edited by hand.</strong> What is shown here may not be what is served.</p><p>${again}</p></div>` : nothing}
    ${error === undefined ? nothing : html`<div class="error"><p><strong>The last order of a certificate failed ${age(error.at)}: ${error.reason}</strong></p><p>${error.message}</p><p>The next one is possible ${ahead(error.next_attempt_at)}.</p></div>`}`
}

/** Name → certificate → server block → upstream. */
function way(state: State, found: ProxyState, details: ProxyDetails | undefined): TemplateResult {
  const { domain, path, served_by: other, options, certificate, upstream } = found
  const each = details?.health.upstreams
  return html`<ol class="way">
    <li><h3>Names</h3>${[domain, ...options.aliases].map((name) => html`<div>${name}${path === '/' ? nothing : path} <a href=${href.explain(urlOf(found, name))} aria-label=${`explain ${name}`}>explain</a></div>`)}</li>
    <li><h3>Certificate</h3>${certificate === null ? (found.enable_ssl ? 'none yet: HTTP' : 'none: HTTP only') : html`${lifeLeft(certificate)}<div>${certificate.issuer}</div><div class="dim small">${certificate.source}: ${certificate.why}</div>`}</li>
    <li><h3>NGINX</h3>${served(state, found)}${other === undefined ? nothing : html`<div>in the server block of <a href=${href.route(other)}>${other}</a></div>`}${options.allow.length === 0 ? nothing : html`<div>only for ${options.allow.join(', ')}</div>`}</li>
    <li><h3>${options.redirect_to === null ? 'Droplet' : 'Redirect'}</h3>${options.redirect_to ?? (each === undefined ? html`${upstream}${droplet(found)}<div>${details?.health.failure}</div>` : each.map((one) => html`<div class="upstream">${one.upstream}${one.backup ? ' (backup)' : ''}${checked(one, one.failure ?? '')}</div>`))}
      ${details?.draining?.map((one) => html`<div class="small">${badge('none', 'draining')} ${one.upstream}: ${one.connections} connections, replaced ${age(one.since)}</div>`)}</li>
  </ol>`
}

function optionsOf({ options }: ProxyState, fields: Fields | undefined): Part {
  if (fields === undefined) return html`<p class="dim">Loading…</p>`
  const set = differing({ ...options }, fields)
  if (set.length === 0) return html`<p class="dim">None.</p>`
  return html`<dl>${set.map(([name, value]) => html`<dt>${name}</dt><dd>${Array.isArray(value) ? value.join(', ') : typeof value === 'string' ? value : JSON.stringify(value)}</dd>`)}</dl>`
}

const [WIDTH, HEIGHT] = [600, 60]

/** The latency of each check, and which of them failed. */
function plot({ checks, failure }: ProxyDetails['health']): Part {
  if (checks.length < 2) return html`<p class="dim">Not enough checks yet.</p>`
  const most = Math.max(10, ...checks.map(({ ms }) => ms))
  const x = (i: number) => (i / (checks.length - 1)) * WIDTH
  const y = (ms: number) => HEIGHT - (ms / most) * HEIGHT
  const failed = checks.filter(({ ok }) => !ok).length
  const [first] = checks
  const label = `${checks.length} checks, the slowest ${Math.max(...checks.map(({ ms }) => ms))} ms, ${failed} failed`
  return html`<svg class="plot" viewBox="0 -4 ${WIDTH} ${HEIGHT + 8}" preserveAspectRatio="none" role="img" aria-label=${label}>
    <title>${label}</title>
    ${svg`<polyline points=${checks.map(({ ms }, i) => `${x(i).toFixed(1)},${y(ms).toFixed(1)}`).join(' ')}></polyline>`}
    ${checks.map(({ ok }, i) => (ok ? nothing : svg`<rect class="bad" x=${x(i) - 1} y="0" width="3" height=${HEIGHT}></rect>`))}
  </svg><p class="dim">${label}${first === undefined ? nothing : html`; the first ${age(first.at)}`}</p>
  ${failure === null ? nothing : html`<p>${badge('bad', 'the last one failed')} ${failure}</p>`}`
}

function versions(state: State, name: string, all: readonly ShownVersion[], isThere: boolean): Part {
  if (all.length === 0) return html`<p class="dim">None.</p>`
  const isBusy = stepOf(state, name) !== undefined
  return html`<ol class="versions">${all.map(
    (one, i) => html`<li><details>
    <summary>Version ${one.version}: ${one.outcome} ${age(one.at)}${one.actor === undefined ? nothing : html` by ${actorName(one.actor)}`}</summary>
    ${diffBlock(one.diff)}</details>
    ${i === 0 && isThere ? badge('good', 'current') : one.route === null || !mayChange(state) ? nothing : html`<button ?disabled=${isBusy} @click=${() => rollBack(name, one.version)}>Put version ${one.version} again</button>`}
  </li>`,
  )}</ol>`
}

async function rollBack(name: string, to: number): Promise<void> {
  await act({ method: 'POST', droplet: name, rest: '/rollback', body: { to }, what: `back to version ${to}` })
  read = undefined
  redraw()
}
