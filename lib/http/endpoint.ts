/** Makes an endpoint: parses the request, calls the handler, answers, logs, and catches everything. */
import type { LogResult } from '../adapters/log.ts'
import {
  errorResponse,
  jsonResponse,
  streamResponse,
  textResponse,
  toResponse,
  withoutEvidence,
} from './error-response.ts'
import type { Answer, Call, Deps, Endpoint, Operation } from './operation.ts'
import { parseCall, pathParams, pathPattern } from './parse-request.ts'
import { correlationIdOf, failureFields, subjectOf } from './request-log.ts'

export {
  type Answer,
  type Call,
  type Deps,
  type Endpoint,
  type InternalCall,
  type Method,
  NO_OPERATION,
  type Operation,
} from './operation.ts'
export { booleanParameter, DryRun, dryRunEntries, NoParams, NoQuery, unknownKey } from './parameters.ts'

/** Makes a handler from an operation and the engine call that carries it out. */
export function endpoint<P, Q, B>(
  operation: Operation<P, Q, B>,
  handle: (call: Call<P, Q, B>, deps: Deps) => Promise<Answer>,
): Endpoint {
  const patterns = [operation, ...(operation.aliases ?? [])].map(({ path }) => pathPattern(path))
  const handler = async (request: Request, deps: Deps): Promise<Response> => {
    const started = deps.clock.monotonicMs()
    const correlationId =
      deps.correlationId ?? correlationIdOf(request.headers.get('x-correlation-id'), deps.clock.randomId)
    const logLine = (
      level: 'info' | 'warn' | 'error',
      fields: Readonly<Record<string, unknown>> & { readonly result: LogResult },
    ) => {
      const duration_ms = Math.round(deps.clock.monotonicMs() - started)
      deps.log.write(level, { action: operation.operationId, correlation_id: correlationId, duration_ms, ...fields })
    }
    let call: Call<P, Q, B> | undefined
    try {
      call = await parseCall(operation, patterns, request)
      const { status, body, headers, logFields } = await handle(call, {
        signal: request.signal,
        ...deps,
        correlationId,
      })
      logLine('info', { result: 'success', status, ...subjectOf(call), ...logFields })
      if (body instanceof ReadableStream) {
        deps.metrics.request(operation.operationId, status, deps.clock.monotonicMs() - started)
        return streamResponse(correlationId, body, operation.responses[status]?.stream?.contentType ?? '')
      }
      const plain = typeof body === 'string' && operation.contentType !== undefined
      deps.metrics.request(operation.operationId, status, deps.clock.monotonicMs() - started)
      return toResponse(
        plain
          ? textResponse(status, correlationId, body, operation.contentType ?? '', headers)
          : jsonResponse(status, correlationId, body, headers, deps.toJson),
      )
    } catch (thrown) {
      const answer = errorResponse(deps.caller?.kind === 'stranger' ? withoutEvidence(thrown) : thrown, correlationId)
      logLine(answer.status >= 500 ? 'error' : 'warn', {
        status: answer.status,
        ...subjectOf(call ?? { params: pathParams(patterns, request) }),
        ...failureFields(thrown),
      })
      deps.metrics.request(operation.operationId, answer.status, deps.clock.monotonicMs() - started)
      return toResponse(answer)
    } finally {
      if (operation.method !== 'GET') deps.engine.progress.end(correlationId)
    }
  }
  return Object.assign(handler, { operation })
}
