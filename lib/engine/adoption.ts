/** Hand-written sites, and routes in their place. */
import * as v from 'valibot'
import { adoptSite, dryRunAdoption } from '../adoption/adopt.ts'
import { adoptableSite, hostSites } from '../adoption/host-sites.ts'
import { toPutChange } from '../change/prepare-put.ts'
import { PutProxyBody } from '../route/spec.ts'
import type { ChangeParts } from './change-verbs.ts'
import type { AdoptRequest, Engine } from './engine.ts'
import { completeRollback } from './submit-change.ts'

type AdoptionVerbs = Pick<Engine, 'readSites' | 'adoptSite' | 'dryRunAdopt'>

export function adoptionVerbs({ context, queue, view, waits }: ChangeParts): AdoptionVerbs {
  const { host } = context
  /** The site and the changes that replace it; their upstreams are resolved before it is their turn. */
  const prepare = async ({ file, dropletNames: names, acceptsDifferences, origin }: AdoptRequest) => {
    const judged = await adoptableSite(context, { file, names, acceptsDifferences })
    const changes = await Promise.all(
      judged.routes.map(({ droplet_name: dropletName, body }) => {
        const spec = v.parse(PutProxyBody, body)
        return toPutChange(host, { dropletName, spec, mode: 'create', source: 'api', precondition: {}, origin })
      }),
    )
    return { judged, changes }
  }
  return {
    readSites: () => hostSites(context),
    adoptSite: async (request) => {
      const { judged, changes } = await prepare(request)
      for (const { dropletName } of changes) waits.supersede(dropletName)
      context.progress.report('queued', changes)
      const { outcomes, receipt } = await queue.exclusively(async () => {
        const degraded = await completeRollback(context)
        if (degraded !== undefined) throw degraded
        return await adoptSite(context, judged.site, changes)
      })
      for (const { outcome } of outcomes) host.metrics.change(outcome)
      return { site: judged, proxies: outcomes.map(({ route }) => view.show(route)), receipt }
    },
    dryRunAdopt: async (request) => {
      const { judged, changes } = await prepare({ ...request, acceptsDifferences: true })
      const { outcomes, ...dryRun } = await queue.exclusively(() => dryRunAdoption(context, judged.site, changes))
      return { ...dryRun, site: judged, proxies: outcomes.map(({ route }) => view.show(route)) }
    },
  }
}
