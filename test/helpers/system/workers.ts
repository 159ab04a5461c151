/** The workers of a real NGINX. */
import { hostProcesses } from '../../../lib/adapters/processes.ts'

/** The process IDs of a master's workers. */
export function workersOf({ masterPid }: { readonly masterPid: number | undefined }): readonly number[] {
  const workers = hostProcesses().workersOf(masterPid ?? 0)
  if (workers === 'unknown') throw new Error('/proc cannot be read')
  return workers
}
