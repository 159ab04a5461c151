/** Small parts that several views have. */

import { html, nothing, svg, type TemplateResult } from 'lit-html'
import type { Actor } from '../events/event.ts'
import type { ProxyState } from '../route/state.ts'
import type { ApiError } from './api.ts'
import { nowMs } from './browser.ts'
import { href } from './location.ts'

export type Part = TemplateResult | typeof nothing | string

/** What a status means for a visitor: never said by its colour only. */
export type Tone = 'good' | 'warn' | 'bad' | 'none'
const SHAPES: Readonly<Record<Tone, string>> = { good: '●', warn: '▲', bad: '■', none: '○' }

export function badge(tone: Tone, word: string, title = ''): TemplateResult {
  return html`<span class="badge ${tone}" title=${title || nothing}><span aria-hidden="true">${SHAPES[tone]}</span> ${word}</span>`
}

const UNITS = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'min'],
] as const

/** A length of time in its largest unit: `3 h`. */
export function lengthOf(seconds: number): string {
  const [size, unit] = UNITS.find(([length]) => Math.abs(seconds) >= length) ?? [1, 's']
  return `${Math.trunc(seconds / size)} ${unit}`
}

/** A time as its age, with the time itself as its title. */
export function age(at: string | null): Part {
  if (at === null) return 'never'
  const seconds = Math.max(0, (nowMs() - Date.parse(at)) / 1000)
  return html`<time datetime=${at} title=${new Date(at).toLocaleString()}>${seconds < 1 ? 'now' : `${lengthOf(seconds)} ago`}</time>`
}

/** How long something has been so: `for 3 h`. */
export function lasting(since: string): Part {
  const seconds = Math.max(0, (nowMs() - Date.parse(since)) / 1000)
  return html`<time datetime=${since} title=${`since ${new Date(since).toLocaleString()}`}>for ${lengthOf(seconds)}</time>`
}

/** From when on something is possible: `in 3 h`, or `now`. */
export function ahead(at: string): Part {
  const seconds = (Date.parse(at) - nowMs()) / 1000
  return html`<time datetime=${at} title=${new Date(at).toLocaleString()}>${seconds < 1 ? 'now' : `in ${lengthOf(seconds)}`}</time>`
}

/** Who has done something: the name of the token, or what kind of caller or job it was. */
export function actorName({ name, kind }: Actor): string {
  return name ?? kind
}

/** One of several filters, and how much it would show. */
export function chip(text: string, count: number, isOn: boolean, choose: () => void): TemplateResult {
  return html`<button class="chip" aria-pressed=${isOn ? 'true' : 'false'} @click=${choose}>${text} <span class="count">${count}</span></button>`
}

export function errorBox(error: ApiError): TemplateResult {
  const { remedy, issues, nginx_output: output, correlation_id: id } = error.details
  return html`<div class="error" role="alert">
    <p><strong>${error.message}</strong> <code>${error.code}</code></p>
    ${Array.isArray(issues) ? html`<ul>${issues.map(({ path, message }) => html`<li><code>${path}</code> ${message}</li>`)}</ul>` : nothing}
    ${typeof output === 'string' ? html`<pre>${output}</pre>` : nothing}
    ${typeof remedy === 'string' ? html`<p>${remedy}</p>` : nothing}
    ${typeof id === 'string' ? html`<p class="dim">Correlation ID <a href=${href.activity(id)}>${id}</a></p>` : nothing}
  </div>`
}

/** As many checks as the API keeps of each upstream. */
const CHECKS = 60

/** The last checks of an upstream, one bar for each, the newest at the right; `recent` has 1 for a good one and 0 for a failed one. */
export function checksBar(recent: string): TemplateResult {
  const failed = [...recent].filter((one) => one === '0').length
  const label = `${recent.length} checks, ${failed === 0 ? 'none' : failed} failed`
  const x = (i: number) => CHECKS - recent.length + i
  return html`<svg class="checks" viewBox="0 0 ${CHECKS} 10" preserveAspectRatio="none" role="img" aria-label=${label}>
    <title>${label}</title>
    ${[...recent].map((one, i) => svg`<rect class=${one === '1' ? 'good' : 'bad'} x=${x(i)} y=${one === '1' ? 2 : 0} width="0.8" height=${one === '1' ? 8 : 10}></rect>`)}
  </svg>`
}

/** A unified diff, its lines marked. */
export function diffBlock(diff: string): TemplateResult {
  const toneOf = (line: string) => (line.startsWith('+') ? 'added' : line.startsWith('-') ? 'removed' : '')
  return html`<pre class="diff">${diff
    .trimEnd()
    .split('\n')
    .map(
      (line) => html`<span class=${toneOf(line)}>${line}
</span>`,
    )}</pre>`
}

/** A template that shows what it is about if it breaks: a page that says less is better than none. */
export function guarded(about: unknown, template: () => Part): Part {
  try {
    return template()
  } catch (error) {
    return html`<div class="error"><p>This cannot be shown: ${String(error)}</p><pre>${JSON.stringify(about, null, 1)}</pre></div>`
  }
}

/** The URL of a route under one of its names. */
export function urlOf({ domain, path, ssl_enabled: isSecure }: ProxyState, name = domain): string {
  return `${isSecure ? 'https' : 'http'}://${name}${path}`
}

/** A link to what a route serves. */
export function siteLink(route: ProxyState): TemplateResult {
  const { domain, path } = route
  return html`<a href=${urlOf(route)} target="_blank" rel="noopener noreferrer">${domain}${path === '/' ? nothing : path}</a>`
}
