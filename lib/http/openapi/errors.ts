/** The errors in the API's description, from the catalogue. */
import { ERRORS, type ErrorCode, ProxyManagerError } from '../../errors.ts'
import { errorBody } from '../error-response.ts'
import type { Operation } from '../operation.ts'
import { ERROR_EXAMPLES } from './error-examples.ts'
import { errorHeaders } from './headers.ts'
import type { JsonObject } from './json.ts'

/** Errors that every endpoint may answer, whatever it does. */
const EVERYWHERE: readonly ErrorCode[] = [
  'UNAUTHORIZED',
  'FORBIDDEN',
  'TOO_MANY_ATTEMPTS',
  'REQUEST_TIMEOUT',
  'HEADERS_TOO_LARGE',
  'INTERNAL',
]
/** Errors that nobody is answered where no token is asked for. */
const OF_TOKENS: readonly ErrorCode[] = ['UNAUTHORIZED', 'TOO_MANY_ATTEMPTS']

/** The errors of an endpoint by their status, each code with an example; `isOpen` where it is answered without a token. */
export function describeErrors(operation: Operation, isOpen: boolean): JsonObject {
  const byStatus = new Map<number, ErrorCode[]>()
  for (const code of new Set([...operation.errors, ...EVERYWHERE])) {
    const { status } = ERRORS[code]
    // A status that the endpoint answers by itself as well keeps its own description.
    if (status in operation.responses || (isOpen && OF_TOKENS.includes(code))) continue
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      String(status),
      {
        description: codes.map((code) => `${code}: ${ERRORS[code].message}`).join('. '),
        headers: errorHeaders(codes),
        content: {
          'application/json': {
            schema: { $ref: '#/components/schemas/Error' },
            examples: Object.fromEntries(codes.map((code) => [code, { value: exampleOf(code) }])),
          },
        },
      },
    ]),
  )
}

function exampleOf(code: ErrorCode): JsonObject {
  return errorBody(new ProxyManagerError(code, ERROR_EXAMPLES[code]), '0b9d2f1c-5a53-4a0e-9f0e-1d1c3f1f7a10')
}
