/** Changes of routes, as callers, certificate jobs and recovery request them. */
import type { CheckedCertificate } from '../certificates/certificate.ts'
import type { Origin } from '../events/event.ts'
import type { RouteRecord, RouteSource } from '../route/record.ts'
import type { ProxySpec } from '../route/spec.ts'
import type { CheckedUpstream } from '../upstream/health-check.ts'
import type { ResolvedUpstream, UpstreamHealth } from '../upstream/upstream.ts'

/** The preconditions of a call (RFC 9110, 13.1). */
export interface Precondition {
  /** Revisions of `If-Match`, or `*`. */
  readonly ifMatch?: readonly string[] | '*'
  /** `If-None-Match: *`: only if the route does not exist yet. */
  readonly ifNoneMatchAny?: boolean
}

export interface PutChange {
  readonly kind: 'put'
  readonly dropletName: string
  readonly spec: ProxySpec
  readonly upstream: ResolvedUpstream
  /** All of them, if there are several; `upstream` is then the first that is not a backup. */
  readonly upstreams?: NonNullable<RouteRecord['upstreams']>
  readonly health: UpstreamHealth
  /** The checks that were made for this change. */
  readonly checks?: readonly CheckedUpstream[]
  /** `create` refuses to replace another configuration. */
  readonly mode: 'create' | 'replace'
  readonly source: RouteSource
  readonly precondition: Precondition
  /** The version of its history that the route gets again. */
  readonly rollbackTo?: number
  readonly origin?: Origin | undefined
}

export interface DeleteChange {
  readonly kind: 'delete'
  readonly dropletName: string
  readonly precondition: Precondition
  readonly origin?: Origin | undefined
}

/** The route takes another name; its record stays as it is otherwise. */
export interface RenameChange {
  readonly kind: 'rename'
  readonly dropletName: string
  readonly newName: string
  readonly precondition: Precondition
  readonly origin?: Origin | undefined
}

/** Switches the route to the snapshot's certificate for it; to HTTP only if there is none. */
export interface CertifyChange {
  readonly kind: 'certify'
  readonly dropletName: string
  readonly domain: string
  /** The caller's choice ends: the certificate that was just ordered is served. */
  readonly isUnpinned?: boolean | undefined
  /** The certificate that is about to be stored under the name that the route has chosen. */
  readonly uploaded?: CheckedCertificate | undefined
  readonly origin?: Origin | undefined
}

/** The route's file is rendered again for the host as it is now; its record stays as it is, unless another program has put an older one back. */
export interface RerenderChange {
  readonly kind: 'rerender'
  readonly dropletName: string
  /** The record that was acknowledged, if the one in the file is older. */
  readonly acknowledged?: RouteRecord
  /** Of a call; without one it is done for the host. */
  readonly origin?: Origin | undefined
}

export type Change = PutChange | DeleteChange | RenameChange | CertifyChange | RerenderChange

/** The droplets whose routes a change writes. */
export function dropletsOf(change: Change): readonly string[] {
  return change.kind === 'rename' ? [change.dropletName, change.newName] : [change.dropletName]
}
