/** Creations, moves, deletions and syncs by many callers, during hard kills of the API and of NGINX, and stops of NGINX. */
import { startHost } from '../../helpers/system/host.ts'
import { runStorm } from '../../helpers/system/storm.ts'
import { startRegistry } from '../../helpers/system/storm-registry.ts'
import type { FaultsPart } from './bounds.ts'

export const storm: FaultsPart = {
  title: 'random changes by many callers while processes are killed',
  run: async ({ rounds, clients }, stopped) => {
    const registry = await startRegistry()
    const host = await startHost({}, { REGISTRY_URL: registry.url })
    try {
      const found = await runStorm(host, { rounds, clients, victims: ['api', 'master', 'nginx'], registry }, stopped)
      return {
        figures: [
          { what: 'changes tried', value: found.tried },
          { what: 'changes acknowledged', value: found.acknowledged },
          { what: 'acknowledged changes lost', value: found.lost, atMost: 0 },
          { what: 'moments at which nginx -t tested the disk', value: found.moments },
          { what: 'moments at which it refused', value: found.refused, atMost: 0 },
          { what: 'starts of NGINX that met a file while it was removed', value: found.crossed },
          { what: 'requests for a route that nobody changes', value: found.requests },
          { what: 'of these, failed while NGINX ran', value: found.failed, atMost: 0 },
          { what: 'of these, failed while NGINX was down', value: found.failedWhileDown },
        ],
        violations: found.violations,
      }
    } finally {
      await host.close()
      registry.close()
    }
  },
}
