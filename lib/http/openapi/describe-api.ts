/** The API's OpenAPI 3.1 description, derived from the schemas that validate requests. */
import * as v from 'valibot'
import { OPEN_PATHS } from '../access/guard.ts'
import { type Operation, type ResponseSpec, templatePath } from '../operation.ts'
import { CORRELATION_ID } from '../request-log.ts'
import { describeErrors } from './errors.ts'
import { describeHeaders, type JsonObject } from './headers.ts'
import { inputSchema, namedSchemas, outputSchema } from './named-schemas.ts'

/** Describes these operations; `version` is that of this software, `base` the path in front of each of them. */
export function describeApi(operations: readonly Operation[], version: string, base = ''): JsonObject {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const operation of operations) {
    for (const [i, { method, path }] of [operation, ...(operation.aliases ?? [])].entries()) {
      const name = templatePath(path)
      paths[name] = { ...paths[name], [method.toLowerCase()]: describeOperation(operation, path, i) }
    }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Proxy Manager',
      version,
      description: 'Manages NGINX and certbot on one host through an HTTP API, for a mesh of small services.',
      license: { name: 'MIT', identifier: 'MIT' },
      contact: { name: 'Full Potential AI', email: 'admin@fullpotential.ai' },
    },
    // Relative to the address of this description, whatever its host and port are.
    servers: [{ url: base === '' ? '/' : base }],
    tags: TAGS.filter(({ name }) => operations.some((one) => tagOf(one) === name)),
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'The API token, if one is configured' },
        registryJwt: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: 'Signed by the Registry (RS256), with "exp"; if AUTH_REGISTRY_JWT is set',
        },
        apiToken: {
          type: 'apiKey',
          in: 'header',
          name: 'X-API-Token',
          description: 'The API token in another header',
        },
      },
      schemas: namedSchemas(paths),
    },
  }
}

const TAGS = [
  { name: 'proxies', description: 'Routes from a domain to a droplet, and their certificates' },
  { name: 'certificates', description: "certbot's lineages, and certificates that are uploaded" },
  {
    name: 'service',
    description: 'This service itself: health, metrics, its description, and what the mesh expects of every droplet',
  },
] as const

function tagOf({ path }: Operation): (typeof TAGS)[number]['name'] {
  if (path.startsWith('/certificates')) return 'certificates'
  return path.startsWith('/proxies') ? 'proxies' : 'service'
}

/** The empty one because a token is only needed if the host has one configured. */
const WITH_TOKEN = [{}, { bearer: [] }, { registryJwt: [] }, { apiToken: [] }]

function describeOperation(operation: Operation, path: string, variant: number): JsonObject {
  const isOpen = OPEN_PATHS.has(path)
  const parameters = [
    ...parametersIn('path', operation.params),
    ...parametersIn('query', operation.query),
    ...(operation.supportsPreconditions === true ? PRECONDITIONS : []),
    {
      name: 'X-Correlation-ID',
      in: 'header',
      required: false,
      description: 'Returned in the response and in its error, and logged with every line; generated if missing',
      schema: { type: 'string', pattern: CORRELATION_ID.source },
    },
  ]
  return {
    operationId: variant === 0 ? operation.operationId : `${operation.operationId}${variant + 1}`,
    summary: operation.summary,
    description: operation.description,
    tags: [tagOf(operation)],
    security: isOpen ? [] : WITH_TOKEN,
    parameters,
    ...(operation.body === undefined
      ? {}
      : {
          requestBody: {
            required: !v.is(operation.body, {}),
            content: { 'application/json': { schema: inputSchema(operation.body) } },
          },
        }),
    responses: { ...describeResponses(operation), ...describeErrors(operation, isOpen) },
  }
}

const PRECONDITIONS: readonly JsonObject[] = [
  {
    name: 'If-Match',
    in: 'header',
    required: false,
    description: 'The ETag that the route must have, or * for any; otherwise 412',
    schema: { type: 'string' },
  },
  {
    name: 'If-None-Match',
    in: 'header',
    required: false,
    description: '*: 412 if the route already exists',
    schema: { type: 'string' },
  },
]

function describeResponses({ responses, contentType = 'application/json' }: Operation): JsonObject {
  const described = Object.entries(responses).map(
    ([status, { description, schema, example, headers = {}, stream }]) => {
      const content = {
        [contentType]: { schema: outputSchema(schema), examples: { sample: { value: example } } },
        ...(stream === undefined ? {} : { [stream.contentType]: describeStream(stream) }),
      }
      return [status, { description, headers: describeHeaders([headers]), content }]
    },
  )
  return Object.fromEntries(described)
}

/** The events of a stream as the content of a text (JSON Schema Validation 2020-12, 8): OpenAPI has a field for them since 3.2 only. */
function describeStream({ contentType, data, example }: NonNullable<ResponseSpec['stream']>): JsonObject {
  const text = { type: 'string' }
  const event = {
    type: 'object',
    required: ['event', 'data'],
    properties: {
      id: { ...text, description: 'Resume with it as Last-Event-ID; missing if the event is not kept' },
      event: { ...text, description: 'Its type' },
      data: { ...text, contentMediaType: 'application/json', contentSchema: outputSchema(data) },
    },
  }
  const [contentMediaType] = contentType.split(';')
  return {
    schema: {
      ...text,
      description: 'Server-sent events',
      contentMediaType,
      contentSchema: { type: 'array', items: event },
    },
    examples: { sample: { value: example } },
  }
}

function parametersIn(place: 'path' | 'query', schema: v.GenericSchema): JsonObject[] {
  const { properties = {}, required = [] } = inputSchema(schema) as {
    properties?: Record<string, JsonObject>
    required?: readonly string[]
  }
  return Object.entries(properties).map(([name, { description, ...own }]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    description,
    schema: own,
  }))
}
