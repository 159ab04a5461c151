/** The bounds of the proof of faults. */
import type { Part } from '../findings.ts'

export interface Bounds {
  /** Of the effects and system calls, every n-th is broken. */
  readonly every: number
  readonly rounds: number
  readonly clients: number
  readonly changes: number
  readonly deploys: number
  readonly soak: number
}

export type FaultsPart = Part<Bounds>
