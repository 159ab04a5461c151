/** The HTTP server around the Fetch handler of one service. */

import { createServerAdapter } from '@whatwg-node/server'
import { errorText, ProxyManagerError } from './errors.ts'
import type { App } from './http/app.ts'
import { createHttpServer } from './http/listener/listener.ts'
import { type Deps, NO_OPERATION } from './http/operation.ts'
import { failureFields } from './http/request-log.ts'

/**
 * An HTTP server around a Fetch handler, for what that cannot do: it closes slow and endless connections, limits their number, rejects malformed
 * requests, and says which address a request came from, so that callers who guess tokens are locked out.
 */
export function createApiServer({ usage, metrics, log, clock }: Deps, app: App): ReturnType<typeof createHttpServer> {
  return createHttpServer(createServerAdapter(app), {
    randomId: clock.randomId,
    monotonicMs: clock.monotonicMs,
    onFailure: (error, correlationId) =>
      log.write('error', {
        action: 'listen',
        result: 'failure',
        correlation_id: correlationId,
        cause: errorText(error),
      }),
    onRejected: ({ error, status, correlationId, durationMs }) => {
      usage.record(status)
      metrics.request(NO_OPERATION, status, durationMs)
      // Other errors are reported by `onFailure`.
      if (error instanceof ProxyManagerError)
        log.write('warn', { action: 'refuse', correlation_id: correlationId, status, ...failureFields(error) })
    },
  })
}
