/** The calls of this API that the mesh's queries and commands stand for. They take what those calls take, and nothing else. */

import * as v from 'valibot'
import { ProxyManagerError } from '../errors.ts'
import { DropletName } from '../route/droplet-name.ts'
import type { InnerCall } from './operation.ts'
import { DeleteQuery, DryRun, ListQuery, SyncQuery } from './parameters.ts'

/** JSON has `true` and `3` where a query has words; the call looks at what the words are. */
const Parameter = v.optional(
  v.pipe(
    v.union([v.boolean(), v.number(), v.string()], 'must be true, false, a number or a string'),
    v.description('As the parameter of this name in the query of the call'),
    v.transform(String),
  ),
)
const listed = v.entriesFromList(v.keyof(ListQuery).options, Parameter)
const rehearsed = v.entriesFromList(v.keyof(DryRun).options, Parameter)
const deleted = v.entriesFromList(v.keyof(DeleteQuery).options, Parameter)
const synced = v.entriesFromList(v.keyof(SyncQuery).options, Parameter)
const Body = v.record(v.string(), v.unknown(), faultOf)

export const Query = v.variant(
  'query',
  [
    v.strictObject({ query: v.literal('routes'), ...listed }, faultOf),
    v.strictObject({ query: v.literal('route'), droplet_name: DropletName }, faultOf),
    v.strictObject({ query: v.literal('health') }, faultOf),
  ],
  wordsOf,
)
export const Command = v.variant(
  'command',
  [
    v.strictObject({ command: v.literal('upsert'), droplet_name: DropletName, proxy: Body, ...rehearsed }, faultOf),
    v.strictObject({ command: v.literal('delete'), droplet_name: DropletName, ...deleted }, faultOf),
    v.strictObject(
      { command: v.literal('ssl'), droplet_name: DropletName, options: v.optional(Body, {}), ...rehearsed },
      faultOf,
    ),
    v.strictObject({ command: v.literal('sync'), ...synced }, faultOf),
  ],
  wordsOf,
)

/**
 * The call that a query or a command stands for.
 * @throws {ProxyManagerError} INVALID_REQUEST, where the payload is none
 */
export function callFor(type: 'query' | 'command', payload: unknown): InnerCall {
  if (type === 'query') {
    const asked = parse(Query, payload)
    if (asked.query === 'route') return { method: 'GET', path: `/proxies/${asked.droplet_name}` }
    if (asked.query === 'health') return { method: 'GET', path: '/proxy-manager/health' }
    const { query: _, ...parameters } = asked
    return { method: 'GET', path: '/proxies', parameters }
  }
  const told = parse(Command, payload)
  if (told.command === 'sync') {
    const { command: _, ...parameters } = told
    return { method: 'POST', path: '/proxy-manager/sync-from-registry', parameters }
  }
  const path = `/proxies/${told.droplet_name}`
  if (told.command === 'upsert') {
    const { command: _, droplet_name: __, proxy, ...parameters } = told
    return { method: 'PUT', path, parameters, body: proxy }
  }
  if (told.command === 'ssl') {
    const { command: _, droplet_name: __, options, ...parameters } = told
    return { method: 'POST', path: `${path}/ssl`, parameters, body: options }
  }
  const { command: _, droplet_name: __, ...parameters } = told
  return { method: 'DELETE', path, parameters }
}

function parse<T extends v.GenericSchema>(schema: T, payload: unknown): v.InferOutput<T> {
  const result = v.safeParse(schema, payload)
  if (result.success) return result.output
  const issues = result.issues.map((issue) => ({
    path: ['payload', v.getDotPath(issue)].filter((part) => part !== null).join('.'),
    message: issue.message,
  }))
  throw new ProxyManagerError('INVALID_REQUEST', { details: { issues } })
}

function faultOf({ expected, received }: v.StrictObjectIssue | v.RecordIssue): string {
  if (expected === 'never') return 'is not a known field'
  return received === 'undefined' ? 'is required' : 'must be a JSON object'
}

/** `("a" | "b")` is how valibot tells the words between which it chooses. */
function wordsOf({ expected }: v.VariantIssue): string {
  return `must be one of ${expected.replace(/[()]/g, '').replaceAll(' | ', ', ')}`
}
