/** A request in the log: its id, what it was about, and what went wrong. */
import type { LogResult } from '../adapters/log.ts'
import { ProxyManagerError } from '../errors.ts'

export const CORRELATION_ID = /^[A-Za-z0-9._-]{1,128}$/

/** The caller's `X-Correlation-ID` if it is well-formed, otherwise a new one. */
export function correlationIdOf(header: string | null | undefined, randomId: () => string): string {
  return header != null && CORRELATION_ID.test(header) ? header : randomId()
}

/** The droplet and domain of a request, for the log; cut to 253 characters, because they may not have been validated. */
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

/** What went wrong: the code, the cause if there is one, and the details that an operator looks for first. */
export function failureFields(thrown: unknown): Record<string, unknown> & { readonly result: LogResult } {
  const error = thrown instanceof ProxyManagerError ? thrown : undefined
  return {
    result: 'failure',
    error_code: error?.code ?? 'INTERNAL',
    ...(error?.cause === undefined && error !== undefined ? {} : { cause: causeText(error?.cause ?? thrown) }),
    ...evidenceOf(error?.details ?? {}),
  }
}

function evidenceOf(details: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const names = ['state', 'reason', 'said', 'errno', 'nginx_output', 'domain']
  return Object.fromEntries(names.flatMap((name) => (details[name] === undefined ? [] : [[name, details[name]]])))
}

/** With its stack; only for the log. */
function causeText(cause: unknown): string {
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
}
