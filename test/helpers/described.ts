/** Checks answers against the API's own OpenAPI description: status, headers, type and shape. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { endpoints } from '../../functions/index.ts'
import { describeApi } from '../../lib/http/openapi/describe-api.ts'
import { ErrorBody, ErrorDetails } from '../../lib/http/openapi/error-schema.ts'

const Content = v.record(
  v.string(),
  v.object({
    schema: v.record(v.string(), v.unknown()),
    examples: v.optional(v.record(v.string(), v.object({ value: v.unknown() })), {}),
  }),
)
const HeadersObject = v.record(
  v.string(),
  v.object({ description: v.string(), required: v.boolean(), schema: v.record(v.string(), v.unknown()) }),
)
const Operation = v.object({
  operationId: v.string(),
  summary: v.string(),
  parameters: v.array(v.looseObject({ name: v.string(), in: v.string(), required: v.boolean() })),
  requestBody: v.optional(v.object({ required: v.boolean(), content: Content })),
  responses: v.record(v.string(), v.object({ description: v.string(), headers: HeadersObject, content: Content })),
})
export type Operation = v.InferOutput<typeof Operation>
const Document = v.looseObject({ paths: v.record(v.string(), v.record(v.string(), Operation)) })

const Components = v.looseObject({ components: v.looseObject({ schemas: v.record(v.string(), v.unknown()) }) })

export const description = describeApi(
  endpoints.map(({ operation }) => operation),
  '1.2.3',
)
const { paths } = v.parse(Document, inlined(description))
export const operations = Object.entries(paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
)

/** The description with each named schema where it is referred to. */
export function inlined(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inlined)
  if (typeof value !== 'object' || value === null) return value
  const name = '$ref' in value ? /^#\/components\/schemas\/(\w+)$/.exec(String(value.$ref))?.[1] : undefined
  const { schemas } = v.parse(Components, description).components
  if (name !== undefined) return inlined(schemas[name])
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, inlined(one)]))
}

export const ajv = new Ajv2020({ strict: false, allErrors: true })
ajv.addSchema({ ...description, $id: 'api' }, undefined, undefined, false)

/** The schema, with every object in it closed: an undescribed field does not match. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed)
  if (typeof schema !== 'object' || schema === null) return schema
  const inside = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]))
  const isClosable = 'properties' in schema && !('additionalProperties' in schema)
  return isClosable ? { ...inside, additionalProperties: false } : inside
}

const compiled = new Map<unknown, ValidateFunction>()
export function validatorOf(schema: Record<string, unknown>): ValidateFunction {
  const known = compiled.get(schema)
  if (known !== undefined) return known
  const { $ref } = schema
  const validator =
    typeof $ref === 'string'
      ? ajv.compile({ $ref: `api${$ref}` })
      : ajv.compile(v.parse(v.record(v.string(), v.unknown()), closed(schema)))
  compiled.set(schema, validator)
  return validator
}

/** The operation of a request. */
export function operationFor(method: string, path: string): Operation {
  const [bare = ''] = path.split('?')
  const found = operations.find(
    (one) => one.method === method && new RegExp(`^${one.path.replace(/\{\w+\}/g, '[^/]+')}$`).test(bare),
  )
  if (found === undefined) throw new Error(`${method} ${path} is not described`)
  return found.operation
}

export interface Described {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** The parsed text; left out if it is not JSON. */
  readonly body?: unknown
}

const DETAILS = new Set(Object.keys(ErrorDetails.entries))

/** Headers of the answer or the connection as such, not of the operation. */
const OF_EVERY_ANSWER = /^(content-(type|length)|cache-control|x-content-type-options|connection|keep-alive|date)$/

/** Every header that is sent is described, and every required one is sent. */
function assertHeaders(what: string, headers: Headers, described: Operation['responses'][string]['headers']): void {
  const known = new Set(Object.keys(described).map((name) => name.toLowerCase()))
  const strange = [...headers.keys()].filter((name) => !OF_EVERY_ANSWER.test(name) && !known.has(name))
  assert.equal(strange, [], `${what}: headers that are not described`)
  const missing = Object.entries(described).filter(([name, { required }]) => required && !headers.has(name))
  assert.equal(missing, [], `${what}: missing headers that are described as required`)
}

/** An answer has the status, the headers, the type and the shape that are described; an error has an example there, and only known details. */
export function assertDescribed(method: string, path: string, { status, headers, body, text }: Described): void {
  const what = `${method} ${path} -> ${status} ${text.slice(0, 500)}`
  const response = operationFor(method, path).responses[String(status)]
  if (response === undefined) throw new Error(`${what}: no such status is described`)
  const { content } = response
  assertHeaders(what, headers, response.headers)
  const type = headers.get('content-type') ?? ''
  const found = content[type] ?? content[type.replace(/;.*/, '')]
  if (found === undefined) throw new Error(`${what}: ${type} is not described`)
  const validate = validatorOf(found.schema)
  assert.ok(validate(body ?? text), `${what}: ${ajv.errorsText(validate.errors)}`)
  const error = v.safeParse(ErrorBody, body)
  if (error.success) {
    assert.equal(
      Object.keys(error.output.error.details).filter((name) => !DETAILS.has(name)),
      [],
      what,
    )
    const codes = Object.keys(found.examples)
    assert.ok(codes.includes(error.output.error.code), `${what}: of errors, ${codes.join(', ')} are described`)
  }
}
