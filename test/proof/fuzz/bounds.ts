/** The bounds of the proof of hostile callers. */
import type { Part } from '../findings.ts'

export interface Bounds {
  readonly requests: number
  readonly raw: number
  readonly connections: number
  /** How long each kind of hostile peer acts, in seconds. */
  readonly seconds: number
  readonly seed: number
}

export type FuzzPart = Part<Bounds>
