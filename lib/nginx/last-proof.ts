/**
 * Which workers the last proof was about. A generation alone does not say which texts were read: if somebody else has reloaded or restarted NGINX
 * since, with files that were edited and put back, it is the same number.
 */
import * as v from 'valibot'
import type { Host } from '../host/host.ts'
import { readRecord, writeRecord } from '../host/json-record.ts'
import type { NginxInstance } from './binary.ts'
import { nginxMasters } from './master.ts'

export interface LastProof {
  /** NGINX's present workers are those that serve what was just proved. Kept over restarts. */
  record(nginx: NginxInstance): Promise<void>
  /** Whether all workers are others than those of the last proof. One that crashed and was replaced is no reload. */
  isOutdated(nginx: NginxInstance): boolean
}

const Worker = v.object({ pid: v.number(), startTime: v.string() })
const Proof = v.object({ workers: v.array(Worker) })

/** Makes the record of this host. */
export function lastProof(host: Host): LastProof {
  const { files, paths, processes } = host
  const masters = nginxMasters(host)
  let proved: readonly v.InferOutput<typeof Worker>[] | undefined
  const present = (nginx: NginxInstance): readonly number[] | 'unknown' => {
    const master = masters.find(nginx)
    return master === undefined ? [] : masters.acceptingWorkers(master)
  }
  return {
    record: async (nginx) => {
      const workers = present(nginx)
      proved = workers === 'unknown' ? [] : workers.map((pid) => ({ pid, startTime: processes.startTime(pid) }))
      await writeRecord(host, paths.lastProof, { workers: proved }, 'record_proof')
    },
    isOutdated: (nginx) => {
      proved ??= readRecord({ files }, paths.lastProof, Proof)?.workers
      // A host without a record leaves only the generation to go by, and so do workers that cannot be seen.
      if (proved === undefined || proved.length === 0) return false
      const isLeft = proved.some(
        ({ pid, startTime }) => processes.workerState(pid) === 'accepting' && processes.startTime(pid) === startTime,
      )
      // They were seen at the proof: if they cannot be now, it has to be made again.
      const workers = isLeft ? [] : present(nginx)
      return workers === 'unknown' || workers.length > 0
    },
  }
}
