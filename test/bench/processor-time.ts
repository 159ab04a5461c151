/** Processor time that processes have used. */
import { readFileSync } from 'node:fs'

/** The unit of stat(5) (USER_HZ), whatever the kernel's own tick is. */
const TICK_MS = 10

/** Milliseconds that these processes have used so far, with all their threads, in user and kernel mode. */
export function processorMs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + usedBy(pid), 0)
}

/** utime and stime are the 14th and 15th field of stat(5), counted after the command's name, which may contain anything. */
function usedBy(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS
}
