/** A request in the log: its id, its subject, and what went wrong. */
import type { LogResult } from '../adapters/log.ts'
import { ProxyManagerError } from '../errors.ts'

const WELL_FORMED = /^[A-Za-z0-9._-]{1,128}$/

/** The caller's `X-Correlation-ID` where it is well formed, a fresh one otherwise. */
export function correlationIdOf(header: string | null | undefined, randomId: () => string): string {
  return header != null && WELL_FORMED.test(header) ? header : randomId()
}

/** What the request was about, for the log; only names that fit their grammar get there whole. */
export function subjectOf({
  params,
  body,
}: {
  readonly params: unknown
  readonly body?: unknown
}): Record<string, string> {
  const fields = { ...(isRecord(params) ? params : {}), ...(isRecord(body) ? body : {}) }
  const subject: Record<string, string> = {}
  for (const name of ['droplet_name', 'domain']) {
    const value = fields[name]
    if (typeof value === 'string') subject[name] = value.slice(0, 253)
  }
  return subject
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

/** What went wrong: the code, the cause where a program's fault or another program is behind it, and what the error says of it. */
export function failureFields(thrown: unknown): Record<string, unknown> & { readonly result: LogResult } {
  const error = thrown instanceof ProxyManagerError ? thrown : undefined
  return {
    result: 'failure',
    error_code: error?.code ?? 'INTERNAL',
    ...(error?.cause === undefined && error !== undefined ? {} : { cause: causeText(error?.cause ?? thrown) }),
    ...evidenceOf(error?.details ?? {}),
  }
}

/** Those details of an error that an operator looks for first. */
function evidenceOf(details: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const names = ['state', 'reason', 'said', 'errno', 'nginx_output', 'domain']
  return Object.fromEntries(names.flatMap((name) => (details[name] === undefined ? [] : [[name, details[name]]])))
}

/** An error's own words, for the log alone. */
function causeText(cause: unknown): string {
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
}
