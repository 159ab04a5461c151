/** The API's description, OpenAPI 3.1, derived from the very schemas that validate. */
import { type ConversionConfig, type JsonSchema, toJsonSchema } from '@valibot/to-json-schema'
import * as v from 'valibot'
import { ERRORS, type ErrorCode, ProxyManagerError } from '../core/errors.ts'
import type { Route } from './endpoint.ts'

export type JsonObject = { readonly [key: string]: unknown }

const CORRELATION_HEADER = {
  'X-Correlation-ID': { description: 'The id of this request', schema: { type: 'string' }, required: true },
}
const RETRY_HEADER = {
  'Retry-After': { description: 'Seconds to wait before the next attempt', schema: { type: 'string' } },
}

/** Describes these endpoints; `version` is that of this software, and `base` the path in front of every route. */
export function describeApi(routes: readonly Route[], version: string, base = ''): JsonObject {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const route of routes) {
    for (const [i, { method, path }] of [route, ...(route.also ?? [])].entries()) {
      const name = path.replace(/:(\w+)/g, '{$1}')
      paths[name] = { ...paths[name], [method.toLowerCase()]: describeOperation(route, i) }
    }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Proxy Manager',
      version,
      description: 'Turns NGINX and certbot on one host into an HTTP API for a mesh of small services.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    // Relative to where this description was found: whatever the host, the port and the base are.
    servers: [{ url: base === '' ? '/' : base }],
    security: [{}, { bearer: [] }, { registryJwt: [] }, { apiToken: [] }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        registryJwt: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: 'Signed by the Registry (RS256), with "exp"; where AUTH_REGISTRY_JWT is set',
        },
        apiToken: { type: 'apiKey', in: 'header', name: 'X-API-Token' },
      },
      schemas: { Error: ERROR_SCHEMA },
    },
  }
}

function describeOperation(route: Route, variant: number): JsonObject {
  const parameters = [
    ...parametersIn('path', route.params),
    ...parametersIn('query', route.query),
    ...(route.conditional === true ? PRECONDITIONS : []),
    {
      name: 'X-Correlation-ID',
      in: 'header',
      required: false,
      description: 'Stands in the answer, in its error and on every line of the log; made where it is left out',
      schema: { type: 'string', pattern: '^[A-Za-z0-9._-]{1,128}$' },
    },
  ]
  return {
    operationId: variant === 0 ? route.operationId : `${route.operationId}${variant + 1}`,
    summary: route.summary,
    tags: [route.path.startsWith('/proxies') ? 'proxies' : 'service'],
    parameters,
    ...(route.body === undefined
      ? {}
      : {
          requestBody: {
            required: !v.is(route.body, {}),
            content: { 'application/json': { schema: inputSchema(route.body) } },
          },
        }),
    responses: { ...describeAnswers(route), ...describeErrors(route) },
  }
}

const PRECONDITIONS: readonly JsonObject[] = [
  {
    name: 'If-Match',
    in: 'header',
    required: false,
    description: 'The ETag that the route must have, or * for any: 412 where it has another',
    schema: { type: 'string' },
  },
  {
    name: 'If-None-Match',
    in: 'header',
    required: false,
    description: '*: 412 where there is such a route already',
    schema: { type: 'string' },
  },
]

function describeAnswers(route: Route): JsonObject {
  const answers = Object.entries(route.responses).map(([status, schema]) => {
    const content = { [route.contentType ?? 'application/json']: { schema: outputSchema(schema) } }
    return [status, { description: route.summary, headers: CORRELATION_HEADER, content }]
  })
  return Object.fromEntries(answers)
}

/** Errors that every endpoint may answer, whatever it does. */
const EVERYWHERE: readonly ErrorCode[] = [
  'UNAUTHORIZED',
  'FORBIDDEN',
  'TOO_MANY_ATTEMPTS',
  'REQUEST_TIMEOUT',
  'HEADERS_TOO_LARGE',
  'INTERNAL',
]

function describeErrors(route: Route): JsonObject {
  const byStatus = new Map<number, ErrorCode[]>()
  for (const code of new Set([...route.errors, ...EVERYWHERE])) {
    const { status } = ERRORS[code]
    // A status that the endpoint answers by itself as well keeps its own description.
    if (status in route.responses) continue
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      String(status),
      {
        description: codes.map((code) => `${code}: ${ERRORS[code].message}`).join('. '),
        headers: [401, 429, 503].includes(status) ? { ...CORRELATION_HEADER, ...RETRY_HEADER } : CORRELATION_HEADER,
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
  const { message, details } = new ProxyManagerError(code)
  return { error: { code, message, details: { ...details, correlation_id: '0b9d2f1c-5a53-4a0e-9f0e-1d1c3f1f7a10' } } }
}

const ERROR_SCHEMA = {
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
            reason: { type: 'string', description: 'Why, in one word: on UNAUTHORIZED, what is wrong with a JWT' },
          },
        },
      },
    },
  },
}

function parametersIn(place: 'path' | 'query', schema: v.GenericSchema): JsonObject[] {
  const { properties = {}, required = [] } = inputSchema(schema) as {
    properties?: Record<string, unknown>
    required?: readonly string[]
  }
  return Object.entries(properties).map(([name, own]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    schema: own,
  }))
}

function inputSchema(schema: v.GenericSchema): JsonObject {
  return withoutDialect(toJsonSchema(schema as never, { ...CONVERSION, typeMode: 'input' }))
}

function outputSchema(schema: v.GenericSchema): JsonObject {
  return withoutDialect(toJsonSchema(schema as never, { ...CONVERSION, typeMode: 'output' }))
}

/** Checks in code have no words in JSON Schema: those that are known are left out, and any other kind stops the description. */
const UNSPEAKABLE = ['check', 'raw_check', 'raw_transform', 'transform', 'not_values']
const CONVERSION: ConversionConfig = {
  target: 'draft-2020-12',
  overrideAction: ({ valibotAction, jsonSchema }) =>
    UNSPEAKABLE.includes(valibotAction.type) ? jsonSchema : undefined,
}

function withoutDialect({ $schema: _, ...schema }: JsonSchema): JsonObject {
  return { ...schema }
}
