/** What this process takes of the host. */

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
