/** The calls of this API that the queries and commands of the mesh stand for, with the same parameters and bodies. */
import * as v from 'valibot'
import { ProxyManagerError } from '../errors.ts'
import { DropletName } from '../route/droplet-name.ts'
import type { InternalCall } from './operation.ts'
import { DeleteQuery, DryRun, ListQuery, PutQuery, SyncQuery } from './parameters.ts'

/** JSON has `true` and `3`, a query string has only text; the call validates it. */
const Parameter = v.optional(
  v.pipe(
    v.union([v.boolean(), v.number(), v.string()], 'must be true, false, a number or a string'),
    v.description('As the query parameter of this name in the call'),
    v.transform(String),
  ),
)
const listEntries = v.entriesFromList(v.keyof(ListQuery).options, Parameter)
const dryRunEntries = v.entriesFromList(v.keyof(DryRun).options, Parameter)
const putEntries = v.entriesFromList(v.keyof(PutQuery).options, Parameter)
const deleteEntries = v.entriesFromList(v.keyof(DeleteQuery).options, Parameter)
const syncEntries = v.entriesFromList(v.keyof(SyncQuery).options, Parameter)
const Body = v.record(v.string(), v.unknown(), describeFault)

export const Query = v.variant(
  'query',
  [
    v.strictObject({ query: v.literal('routes'), ...listEntries }, describeFault),
    v.strictObject({ query: v.literal('route'), droplet_name: DropletName }, describeFault),
    v.strictObject({ query: v.literal('health') }, describeFault),
    v.looseObject({ query: v.literal('status') }),
  ],
  describeChoice,
)
export const Command = v.variant(
  'command',
  [
    v.strictObject(
      { command: v.literal('upsert'), droplet_name: DropletName, proxy: Body, ...putEntries },
      describeFault,
    ),
    v.strictObject({ command: v.literal('delete'), droplet_name: DropletName, ...deleteEntries }, describeFault),
    v.strictObject(
      { command: v.literal('ssl'), droplet_name: DropletName, options: v.optional(Body, {}), ...dryRunEntries },
      describeFault,
    ),
    v.strictObject(
      {
        command: v.literal('rename'),
        droplet_name: DropletName,
        new_name: v.pipe(DropletName, v.description('The droplet_name in the body of the call')),
        ...dryRunEntries,
      },
      describeFault,
    ),
    v.strictObject(
      {
        command: v.literal('rollback'),
        droplet_name: DropletName,
        to: v.optional(v.pipe(v.unknown(), v.description('As in the body of the call'))),
        ...dryRunEntries,
      },
      describeFault,
    ),
    v.strictObject({ command: v.literal('sync'), ...syncEntries }, describeFault),
  ],
  describeChoice,
)

/** The queries and commands that stand for a call. */
export const KNOWN = {
  queries: ['routes', 'route', 'health', 'status'],
  commands: ['upsert', 'delete', 'ssl', 'rename', 'rollback', 'sync'],
} as const

/**
 * The call that a query or a command stands for; `undefined` if it is one of another droplet, in whatever form that has it.
 * @throws {ProxyManagerError} INVALID_REQUEST if it is one of ours in another form
 */
export function callFor(type: 'query' | 'command', payload: unknown): InternalCall | undefined {
  const named = v.safeParse(v.looseObject({ [type]: v.unknown() }), payload)
  const verb = named.success ? named.output[type] : undefined
  const known: readonly unknown[] = type === 'query' ? KNOWN.queries : KNOWN.commands
  if (!known.includes(verb)) return undefined
  if (type === 'query') {
    const query = parse(Query, payload)
    if (query.query === 'route') return { method: 'GET', path: `/proxies/${query.droplet_name}` }
    if (query.query === 'health' || query.query === 'status') return { method: 'GET', path: '/proxy-manager/health' }
    const { query: _, ...parameters } = query
    return { method: 'GET', path: '/proxies', parameters }
  }
  const command = parse(Command, payload)
  if (command.command === 'sync') {
    const { command: _, ...parameters } = command
    return { method: 'POST', path: '/proxy-manager/sync-from-registry', parameters }
  }
  const path = `/proxies/${command.droplet_name}`
  if (command.command === 'upsert') {
    const { command: _, droplet_name: __, proxy, ...parameters } = command
    return { method: 'PUT', path, parameters, body: proxy }
  }
  if (command.command === 'ssl') {
    const { command: _, droplet_name: __, options, ...parameters } = command
    return { method: 'POST', path: `${path}/ssl`, parameters, body: options }
  }
  if (command.command === 'rename') {
    const { command: _, droplet_name: __, new_name, ...parameters } = command
    return { method: 'POST', path: `${path}/rename`, parameters, body: { droplet_name: new_name } }
  }
  if (command.command === 'rollback') {
    const { command: _, droplet_name: __, to, ...parameters } = command
    return { method: 'POST', path: `${path}/rollback`, parameters, body: { to } }
  }
  const { command: _, droplet_name: __, ...parameters } = command
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

function describeFault({ expected, received }: v.StrictObjectIssue | v.RecordIssue): string {
  if (expected === 'never') return 'is not a known field'
  return received === 'undefined' ? 'is required' : 'must be a JSON object'
}

/** valibot lists the allowed values as `("a" | "b")`. */
function describeChoice({ expected }: v.VariantIssue): string {
  return `must be one of ${expected.replace(/[()]/g, '').replaceAll(' | ', ', ')}`
}
