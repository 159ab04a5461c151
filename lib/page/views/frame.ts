/** What is on every view: the verdict of health, where one can go, what runs, and what a visitor's last act has come to. */

import { html, nothing, type TemplateResult } from 'lit-html'
import { hasSession, logOut } from '../api.ts'
import { nowMs } from '../browser.ts'
import { href } from '../location.ts'
import { age, badge, errorBox, guarded, lengthOf, type Part, type Tone } from '../parts.ts'
import { type Live, type State, update } from '../state.ts'
import { activity } from './activity.ts'
import { certificates } from './certificates.ts'
import { edit } from './edit.ts'
import { explain } from './explain.ts'
import { login } from './login.ts'
import { route } from './route.ts'
import { routes } from './routes.ts'

const TONES = { healthy: 'good', degraded: 'warn', unhealthy: 'bad' } as const satisfies Record<string, Tone>

export function frame(state: State): TemplateResult {
  if (state.access === 'unknown') return html`<p class="dim">Loading…</p>`
  if (state.access === 'login') return html`<main id="main" tabindex="-1">${login()}</main>`
  return html`
    <a class="skip" href="#main" @click=${skip}>Skip to the content</a>
    <header>
      <strong class="name">Proxy Manager</strong>
      <nav aria-label="Views">
        ${[
          link(state, 'routes', href.routes, 'Routes'),
          link(state, 'certificates', href.certificates(), 'Certificates'),
          link(state, 'activity', href.activity(), 'Activity'),
          link(state, 'explain', href.explain(), 'Explain'),
        ]}
      </nav>
      ${
        !hasSession()
          ? nothing
          : html`<span class="dim user">${state.session.name} (${state.session.grant === 'all' ? 'may change' : 'may only read'})</span>
        <button class="plain" @click=${leave}>Log out</button>`
      }
    </header>
    ${guarded(state.health, () => verdict(state))}
    ${liveness(state.live)}
    <div class="results" aria-live="polite">${running(state)}${result(state)}</div>
    <main id="main" tabindex="-1">${guarded(state.view, () => content(state))}</main>`
}

function content(state: State): Part {
  const { view } = state
  switch (view.name) {
    case 'route':
      return route(state, view.droplet)
    case 'edit':
      return edit(state, view.droplet)
    case 'certificates':
      return certificates(state, view.droplet)
    case 'activity':
      return activity(state, view.correlationId)
    case 'explain':
      return explain(state, view.url)
    default:
      return routes(state)
  }
}

/** The title of the tab: an operator with twenty of them sees which one needs attention. */
export function titleOf({ view, health }: State): string {
  const subject = view.name === 'route' || view.name === 'edit' ? (view.droplet ?? 'New route') : view.name
  const mark = health === undefined || health.status === 'healthy' ? '' : `${health.status} · `
  return `${mark}${subject} · Proxy Manager`
}

function link({ view }: State, name: string, to: string, text: string): TemplateResult {
  const isHere = view.name === name || (name === 'routes' && (view.name === 'route' || view.name === 'edit'))
  return html`<a href=${to} aria-current=${isHere ? 'page' : nothing}>${text}</a>`
}

function skip(event: Event): void {
  event.preventDefault()
  document.getElementById('main')?.focus()
}

async function leave(): Promise<void> {
  await logOut()
  location.reload()
}

function verdict({ health }: State): Part {
  if (health === undefined) return nothing
  const { status, reasons, advice, nginx, routes: counts, ssl } = health
  const sentence = {
    healthy:
      counts.unhealthy_count === 0 ? 'Everything is served.' : 'Everything is served, but not every droplet answers.',
    degraded: 'NGINX serves, and something needs attention.',
    unhealthy: nginx.running ? 'NGINX serves, but changes do not work.' : 'NGINX is stopped: nothing is served.',
  }[status]
  const facts = [
    counts.total === 1 ? '1 route' : `${counts.total} routes`,
    ...(counts.unhealthy_count > 0 ? [`${counts.unhealthy_count} with an unhealthy droplet`] : []),
    `generation ${nginx.generation ?? 'none'}`,
    `NGINX ${nginx.version ?? 'not found'}`,
    ...(ssl.orders_waiting > 0 ? [`${ssl.orders_waiting} orders wait`] : []),
  ]
  return html`<section class="verdict ${TONES[status]}" aria-label="Health">
    <p>${badge(TONES[status], status)} ${sentence}
      <span class="dim">${facts.join(' · ')}${nginx.last_reload_timestamp === null ? nothing : html` · last reload ${age(nginx.last_reload_timestamp)}: ${nginx.last_reload_result}`}</span></p>
    ${reasons.length === 0 ? nothing : html`<details open><summary>${reasons.length === 1 ? 'One reason' : `${reasons.length} reasons`}</summary><ul>${reasons.map((reason) => html`<li>${reason}</li>`)}</ul></details>`}
    ${advice.length === 0 ? nothing : html`<details><summary>${advice.length === 1 ? 'Advice' : `${advice.length} pieces of advice`}</summary><ul>${advice.map((one) => html`<li>${one}</li>`)}</ul></details>`}
  </section>`
}

/** After this long without an answer it is worth a line. */
const QUIET_MS = 3000

function liveness(live: Live): Part {
  if (live.by === 'stream') return nothing
  if (live.by === 'polls') return html`<p class="live dim">No stream is to be had: updated every 5 seconds.</p>`
  const ms = live.by === 'nothing' ? nowMs() - live.sinceMs : 0
  if (ms < QUIET_MS) return nothing
  return html`<p class="live" role="status">${badge('warn', 'not live')} Live updates stopped ${lengthOf(ms / 1000)} ago, trying again.</p>`
}

function running({ running: calls }: State): Part {
  if (calls.size === 0) return nothing
  return html`<ul class="running">${[...calls.values()].map(({ what, steps }) => html`<li class="notice"><span class="spinner" aria-hidden="true"></span>${what}: ${steps.at(-1) ?? 'applying'}…</li>`)}</ul>`
}

function result({ notice }: State): Part {
  if (notice === undefined) return nothing
  const close = () => update({ notice: undefined })
  return html`<div class="notice">
    ${notice.error === undefined ? html`<p>${badge('good', 'done')} ${notice.text}</p>` : html`<p>${badge('bad', 'failed')} ${notice.text}</p>${errorBox(notice.error)}`}
    <button class="plain" @click=${close}>Close</button>
  </div>`
}
