/** JSON Schema from valibot; the schemas that callers meet more than once have names, which generated clients take for their types. */
import { type ConversionConfig, type JsonSchema, toJsonSchema, toJsonSchemaDefs } from '@valibot/to-json-schema'
import type * as v from 'valibot'
import { LoggedEvent } from '../../events/event.ts'
import { ProgressEvent } from '../../events/progress.ts'
import { ManagerHealth } from '../../health/health-schema.ts'
import { CertificateEntry } from '../../issuance/inventory.ts'
import { PutBody } from '../../route/put-body.ts'
import { CreateProxyBody } from '../../route/spec.ts'
import { ProxyDetails, ProxyState } from '../../route/state.ts'
import {
  ChangedProxy,
  DeletedCertificate,
  DeletedProxy,
  PendingProxy,
  Plan,
  Receipt,
  StoredCertificate,
} from '../answer-schemas.ts'
import { PutCertificateBody } from '../parameters.ts'
import { ErrorBody } from './error-schema.ts'
import type { JsonObject } from './headers.ts'

type Schemas = Readonly<Record<string, v.GenericSchema>>

const ANSWERS: Schemas = {
  Route: ProxyState,
  RouteDetails: ProxyDetails,
  ChangedRoute: ChangedProxy,
  PendingRoute: PendingProxy,
  DeletedRoute: DeletedProxy,
  Certificate: CertificateEntry,
  StoredCertificate,
  DeletedCertificate,
  Receipt,
  Plan,
  ManagerHealth,
  Event: LoggedEvent,
  ProgressEvent,
  ErrorBody,
}
const REQUESTS: Schemas = {
  RouteRequest: PutBody,
  NewRouteRequest: CreateProxyBody,
  CertificateRequest: PutCertificateBody,
}

/** Where a named schema is in the description. */
export function schemaRef(name: string): string {
  return `#/components/schemas/${name}`
}

/** The schema of what a caller sends. */
export function inputSchema(schema: v.GenericSchema): JsonObject {
  return convert(schema, 'input', REQUESTS)
}

/** The schema of what a caller is answered. */
export function outputSchema(schema: v.GenericSchema): JsonObject {
  return convert(schema, 'output', ANSWERS)
}

/** The named schemas that a description refers to, directly or by one another. */
export function namedSchemas(description: unknown): Readonly<Record<string, JsonSchema>> {
  const all = {
    ...toJsonSchemaDefs({ ...ANSWERS }, { ...CONVERSION, typeMode: 'output' }),
    ...toJsonSchemaDefs({ ...REQUESTS }, { ...CONVERSION, typeMode: 'input' }),
  }
  let used: Readonly<Record<string, JsonSchema>> = {}
  for (;;) {
    const text = JSON.stringify([description, used])
    const next = Object.fromEntries(Object.entries(all).filter(([name]) => text.includes(`"${schemaRef(name)}"`)))
    if (Object.keys(next).length === Object.keys(used).length) return used
    used = next
  }
}

/** Checks in code have no equivalent in JSON Schema: these are left out, any other kind throws. */
const NOT_DESCRIBABLE = ['check', 'raw_check', 'raw_transform', 'transform', 'not_values']
const CONVERSION: ConversionConfig = {
  target: 'draft-2020-12',
  overrideRef: ({ referenceId }) => schemaRef(referenceId),
  overrideAction: ({ valibotAction, jsonSchema }) => {
    if (valibotAction.type === 'metadata' && 'metadata' in valibotAction && isReadOnly(valibotAction.metadata))
      return { ...jsonSchema, readOnly: true }
    return NOT_DESCRIBABLE.includes(valibotAction.type) ? jsonSchema : undefined
  },
}

function isReadOnly(metadata: unknown): boolean {
  return typeof metadata === 'object' && metadata !== null && 'readOnly' in metadata
}

function convert(schema: v.GenericSchema, typeMode: 'input' | 'output', definitions: Schemas): JsonObject {
  const {
    $schema: _,
    $defs: __,
    ...own
  } = toJsonSchema(schema, { ...CONVERSION, typeMode, definitions: { ...definitions } })
  return { ...own }
}
