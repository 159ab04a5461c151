/** Processor time that processes have used. */
import { readFileSync } from 'node:fs'

/** stat(5) counts in these, whatever the kernel's own tick is (USER_HZ). */
const TICK_MS = 10

/** Milliseconds that these processes have used so far, all their threads and the kernel on their behalf. */
export function processorMs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + usedBy(pid), 0)
}

/** utime and stime are the 14th and 15th field of stat(5), counted behind the command's name, which may hold anything. */
function usedBy(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS
}
