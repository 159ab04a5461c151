/** The resources that this process uses. */
import { flushCompileCache } from 'node:module'
import { setFlagsFromString } from 'node:v8'

export interface Resources {
  /** Resident memory, in MiB. */
  memoryMb(): number
  /** Processor time since the last call, in percent of one core. */
  cpuPercent(): number
}

export function hostResources(): Resources {
  let lastMs = performance.now()
  let last = process.cpuUsage()
  return {
    memoryMb: () => Math.round(process.memoryUsage.rss() / 1024 / 1024),
    cpuPercent: () => {
      const nowMs = performance.now()
      const used = process.cpuUsage(last)
      const percent = (used.user + used.system) / 10 / Math.max(1, nowMs - lastMs)
      lastMs = nowMs
      last = process.cpuUsage()
      return Math.round(percent * 10) / 10
    },
  }
}

/**
 * Makes V8 collect its whole heap whenever it has grown by a fifth. By default it grows to several times of what is in use: after bursts of
 * changes this process then uses 170 MiB instead of 140, for the same processor time. To be called after the start, during which everything that
 * is allocated stays. A V8 without this flag prints a warning on standard error, and continues.
 */
export function keepHeapSmall(): void {
  setFlagsFromString('--heap-growing-percent=20')
}

/** Saves what this start has compiled for the next one (`NODE_COMPILE_CACHE`); Node itself does it at an orderly exit alone. */
export function saveCompiledCode(): void {
  flushCompileCache()
}
