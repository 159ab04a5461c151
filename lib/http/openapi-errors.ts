/** The errors in the API's description, from the catalogue. */
import { ERRORS, type ErrorCode, ProxyManagerError } from '../core/errors.ts'
import type { Route } from './endpoint.ts'
import { errorBody } from './error-response.ts'
import { ERROR_EXAMPLES } from './openapi-error-examples.ts'
import { errorHeaders } from './openapi-headers.ts'

export type JsonObject = { readonly [key: string]: unknown }

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
export function describeErrors(route: Route, isOpen: boolean): JsonObject {
  const byStatus = new Map<number, ErrorCode[]>()
  for (const code of new Set([...route.errors, ...EVERYWHERE])) {
    const { status } = ERRORS[code]
    // A status that the endpoint answers by itself as well keeps its own description.
    if (status in route.responses || (isOpen && OF_TOKENS.includes(code))) continue
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

/** The UDC error body. */
export const ERROR_SCHEMA = {
  type: 'object',
  required: ['error'],
  additionalProperties: false,
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message', 'details'],
      additionalProperties: false,
      properties: {
        code: { type: 'string', enum: Object.keys(ERRORS) },
        message: { type: 'string' },
        details: {
          type: 'object',
          required: ['stage', 'state', 'culprit', 'retryable', 'correlation_id'],
          properties: {
            stage: { type: 'string', description: 'Where in the walk of a change it happened' },
            state: {
              type: 'string',
              enum: ['unchanged', 'rolled_back', 'degraded'],
              description: 'What became of the host: nothing changed, changed and put back, or in need of attention',
            },
            culprit: {
              type: 'string',
              enum: ['caller', 'other_route', 'host', 'upstream', 'ca'],
              description: 'Who can do something about it',
            },
            retryable: { type: 'boolean', description: 'Whether the same call may succeed later' },
            correlation_id: { type: 'string', description: 'The id of this request, as in the log' },
            remedy: { type: 'string', description: 'What to do about it' },
            issues: {
              type: 'array',
              description: 'INVALID_REQUEST: every fault at once, each with where it is',
              items: {
                type: 'object',
                required: ['path', 'message'],
                properties: { path: { type: 'string' }, message: { type: 'string' } },
              },
            },
            nginx_output: { type: 'string', description: 'What NGINX said of the configuration' },
            diagnostics: {
              type: 'array',
              description: 'The same, parsed; files are named without their folders',
              items: {
                type: 'object',
                required: ['level', 'file', 'line', 'message'],
                properties: {
                  level: { type: 'string' },
                  file: { type: ['string', 'null'] },
                  line: { type: ['integer', 'null'] },
                  message: { type: 'string' },
                },
              },
            },
            reason: { type: 'string', description: 'Why, in one word' },
            owner: {
              type: 'object',
              description: 'Who has what the call wants: a route, or a file that was written by hand',
              properties: {
                droplet_name: { type: 'string' },
                domain: { type: 'string' },
                file: { type: 'string' },
                line: { type: 'integer' },
              },
            },
            domain: { type: 'string', description: 'The name that it is about' },
            certificate_for: { type: 'string', description: 'The name that a certificate was obtained for' },
            revision: { type: ['string', 'null'], description: 'PRECONDITION_FAILED: what the route is at' },
            upstream: { type: 'string', description: 'Where the route was to lead' },
            health_status: { type: 'string', description: 'UPSTREAM_UNHEALTHY: what its health check found' },
            attempts: {
              type: 'array',
              description: 'UPSTREAM_UNHEALTHY: each address that was asked, and what came back',
              items: {
                type: 'object',
                required: ['address', 'path'],
                properties: {
                  address: { type: 'string' },
                  path: { type: 'string' },
                  status: { type: 'integer' },
                  failure: { type: 'string' },
                },
              },
            },
            errno: { type: 'string', description: "CONFIG_WRITE_FAILED: the system's word" },
            file: { type: 'string', description: 'CONFIG_WRITE_FAILED: on which file, without its folders' },
            said: { type: 'string', description: "The CA's words" },
            certbot_output: { type: 'string', description: 'What certbot said, without folders' },
            preflight: {
              type: 'array',
              description: 'What was looked at before the CA was asked',
              items: {
                type: 'object',
                properties: {
                  check: { type: 'string' },
                  domain: { type: 'string' },
                  ok: { type: 'boolean' },
                  detail: { type: 'string' },
                },
              },
            },
            retry_at: { type: 'string', description: 'SSL_RATE_LIMITED: when an order may be placed again' },
            orphaned: {
              type: 'array',
              description: 'BLAST_RADIUS: the routes that would be deleted',
              items: { type: 'string' },
            },
            count: { type: 'integer', description: 'BLAST_RADIUS: how many these are, for confirm' },
            unconfirmed: { type: 'integer', description: 'BLAST_RADIUS: how many go without confirm' },
            failure: { type: 'string', description: 'REGISTRY_UNAVAILABLE: what was wrong' },
            registry_status: { type: 'integer', description: 'REGISTRY_UNAVAILABLE: the status that it answered' },
          },
        },
      },
    },
  },
}
