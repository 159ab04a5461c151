/** What the API does while a call lasts, on standard error: one line that is updated on a terminal, a few lines anywhere else. */
import * as v from 'valibot'
import { PROGRESS, type Step } from '../events/progress.ts'
import type { CliContext } from './command.ts'
import { readStream, type Target } from './event-stream.ts'
import { printable } from './text.ts'

const TICK_MS = 1000
/** Outside of a terminal, a step that lasts is said again after so many seconds. */
const REPEAT_S = 15

/** A newer API may have other steps. */
const Progress = v.object({
  step: v.string(),
  droplet_name: v.optional(v.string()),
  changes: v.number(),
  details: v.looseObject({
    status: v.optional(v.number()),
    failure: v.optional(v.string()),
    orders_waiting: v.optional(v.number()),
    upstream: v.optional(v.string()),
    connections: v.optional(v.nullable(v.number())),
  }),
})
type Progress = v.InferOutput<typeof Progress>

const WORDS: Readonly<Record<Step, string>> = {
  waiting_for_health: 'waiting for the droplet to become healthy',
  queued: 'waiting for other changes',
  preflight: 'checking DNS and the challenge',
  ordering: 'certbot is ordering the certificate',
  testing: 'NGINX is testing the change',
  installing: 'installing the files',
  proving: 'NGINX is reloading',
  draining: 'live, waiting until the former droplet may be stopped',
}

/**
 * Shows the steps of the call with this correlation ID as soon as it lasts longer than a second, until the returned function is called. A caller
 * who may not read events, and an API that has none, are shown nothing.
 */
export function showProgress(context: CliContext, target: Target, correlationId: string): () => void {
  const ending = new AbortController()
  const show = display(context)
  let now: Progress | undefined
  let seconds = 0
  const stop = context.every(TICK_MS, () => {
    seconds += TICK_MS / 1000
    if (now !== undefined) show(now, seconds)
    if (seconds > TICK_MS / 1000) return
    const onEvent = ({ json }: { readonly json: unknown }) => {
      const event = v.safeParse(Progress, json)
      if (event.success) now = event.output
    }
    const query = { type: PROGRESS, correlation_id: correlationId }
    readStream(target, query, onEvent, ending).catch(() => undefined)
  })
  return () => {
    stop()
    ending.abort()
    show(undefined, seconds)
  }
}

/** Shows a step, or removes what is shown. */
function display({ err, isErrorTerminal, columns }: CliContext): (now: Progress | undefined, seconds: number) => void {
  let shown = ''
  if (isErrorTerminal)
    return (now, seconds) => {
      const line = now === undefined ? '' : describe(now, seconds).slice(0, columns - 1)
      if (line !== shown) err(`\r${line.padEnd(shown.length)}${now === undefined ? '\r' : ''}`)
      shown = line
    }
  let saidAt = 0
  return (now, seconds) => {
    if (now === undefined || (now.step === shown && seconds - saidAt < REPEAT_S)) return
    err(`${describe(now, seconds)}\n`)
    shown = now.step
    saidAt = seconds
  }
}

function describe({ step, droplet_name, changes, details }: Progress, seconds: number): string {
  const { status, failure, orders_waiting, upstream, connections } = details
  const answer = failure ?? (status === undefined ? undefined : `status ${status}`)
  const words = orders_waiting === undefined ? (isStep(step) ? WORDS[step] : step) : 'waiting for other orders'
  const more = [
    answer === undefined ? '' : `; its last answer: ${answer}`,
    upstream === undefined ? '' : `; ${upstream}: ${connections ?? 'some'} open`,
  ]
  // The time in front, so that a narrow terminal shows it.
  return printable(`${droplet_name ?? `${changes} changes`} (${seconds} s): ${words}${more.join('')}`)
}

function isStep(step: string): step is Step {
  return step in WORDS
}
