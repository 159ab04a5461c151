/** The id by which one request is found in answers and in the log. */

const WELL_FORMED = /^[A-Za-z0-9._-]{1,128}$/

/** The caller's `X-Correlation-ID` where it is well formed, a fresh one otherwise. */
export function correlationIdOf(header: string | null | undefined, randomId: () => string): string {
  return header != null && WELL_FORMED.test(header) ? header : randomId()
}
