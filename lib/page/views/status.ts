/** The words for what is served, for droplets and for certificates: the same on every view. */

import { html, nothing, type TemplateResult } from 'lit-html'
import type { ProxyState } from '../../route/state.ts'
import { nowMs } from '../browser.ts'
import { stepOf } from '../changes.ts'
import { age, badge, checksBar, lasting, type Part, type Tone } from '../parts.ts'
import type { State } from '../state.ts'

/** Whether NGINX serves the route as it is asked for; or how far a call about it is. */
export function served(state: State, { droplet_name, status, options, ssl_error: error }: ProxyState): TemplateResult {
  const step = stepOf(state, droplet_name)
  if (step !== undefined) return html`<span class="spinner" aria-hidden="true"></span>${step}`
  const word = wordOf(status, options.maintenance, error?.message)
  if (state.health?.nginx.running !== false) return word
  return html`${badge('bad', 'NGINX stopped')}${status === 'active' && !options.maintenance ? nothing : html`<div class="small">otherwise: ${word}</div>`}`
}

function wordOf(
  status: ProxyState['status'],
  isInMaintenance: boolean,
  message = 'A certificate is missing',
): TemplateResult {
  if (status === 'disabled') return badge('bad', 'disabled', 'It is not in sites-enabled')
  if (status === 'drifted') return badge('warn', 'drifted', 'The file was edited by hand')
  if (isInMaintenance) return badge('warn', 'maintenance', 'NGINX answers 503')
  if (status === 'pending_ssl') return badge('warn', 'only HTTP yet', message)
  return badge('good', 'served')
}

const TONES = { healthy: 'good', unhealthy: 'bad', unknown: 'none' } as const satisfies Record<string, Tone>
type Checked = Pick<ProxyState['health'], 'status' | 'since' | 'latency_ms' | 'recent'>

/** What the health checks say about its droplet, and since when. */
export function droplet({ health, upstream, options, last_health_checked_at: checkedAt }: ProxyState): Part {
  if (upstream === null || options.redirect_to !== null) return html`<span class="dim">none: it redirects</span>`
  return checked(health, checkedAt === null ? 'not checked' : html`checked ${age(checkedAt)}`)
}

/** The health of one upstream; `last` says when it was checked. */
export function checked({ status, since, latency_ms: ms, recent }: Checked, last: Part): TemplateResult {
  return html`<div>${badge(TONES[status], status)} ${since === null ? nothing : lasting(since)}</div>
    ${recent === '' ? nothing : checksBar(recent)}
    <div class="dim small">${last}${ms === null ? nothing : `${last === '' ? '' : ' · '}${ms} ms`}</div>`
}

/** The life of a certificate as a bar, and the days that are left. */
export function lifeLeft({
  not_before: from,
  expiry,
}: {
  readonly not_before: string
  readonly expiry: string
}): TemplateResult {
  const [begin, end, now] = [Date.parse(from), Date.parse(expiry), nowMs()]
  const share = (end - now) / (end - begin)
  const days = Math.floor((end - now) / 86_400_000)
  const tone = share <= 0 ? 'bad' : share < 1 / 4 ? 'warn' : 'good'
  const word = share <= 0 ? 'expired' : days === 0 ? 'ends today' : `${days} d left`
  return html`<div>${badge(tone, word, `until ${new Date(expiry).toLocaleString()}`)}</div>
    <meter min="0" max="1" low="0.25" high="0.25" optimum="1" value=${Math.max(0, share)} aria-label="Share of its life that is left"></meter>`
}
