/** What callers, certbot and the host itself want changed. */
import type { RouteSource } from '../route/record.ts'
import type { ProxySpec } from '../route/spec.ts'
import type { ResolvedUpstream, UpstreamHealth } from '../upstream/upstream.ts'

/** What a caller expects of a route before it is changed (RFC 9110, 13.1). */
export interface Precondition {
  /** Revisions of `If-Match`, or `*`. */
  readonly ifMatch?: readonly string[] | '*'
  /** `If-None-Match: *`: only where there is no route yet. */
  readonly ifNoneMatchAny?: boolean
}

export interface PutChange {
  readonly kind: 'put'
  readonly dropletName: string
  readonly spec: ProxySpec
  readonly upstream: ResolvedUpstream
  readonly health: UpstreamHealth
  /** `create` refuses to replace another configuration. */
  readonly mode: 'create' | 'replace'
  readonly source: RouteSource
  readonly precondition: Precondition
}

export interface DeleteChange {
  readonly kind: 'delete'
  readonly dropletName: string
  readonly precondition: Precondition
}

/** The route serves its domain with the certificate that the snapshot holds for it; over HTTP alone where it holds none. */
export interface CertifyChange {
  readonly kind: 'certify'
  readonly dropletName: string
  readonly domain: string
}

export type Change = PutChange | DeleteChange | CertifyChange
