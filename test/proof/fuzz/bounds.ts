/** How far the proof of hostile callers goes. */
import type { Part } from '../findings.ts'

export interface Bounds {
  readonly requests: number
  readonly raw: number
  readonly connections: number
  /** How long each kind of hostile peer is suffered, in seconds. */
  readonly seconds: number
  readonly seed: number
}

export type FuzzPart = Part<Bounds>
