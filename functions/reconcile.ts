import * as v from 'valibot'
import type { Reconciled } from '../lib/change/reconcile.ts'
import { Plan, Receipt } from '../lib/http/answer-schemas.ts'
import { planOf } from '../lib/http/answers.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { DROPLET, RECEIPT } from '../lib/http/openapi/samples.ts'
import { DryRun, NoParams } from '../lib/http/parameters.ts'

const Summary = v.object({
  rendered: v.pipe(v.array(v.string()), v.description('Routes whose files were rendered again')),
  shared_file: v.pipe(v.boolean(), v.description('Whether the shared file was rendered again')),
  drifted: v.pipe(v.array(v.string()), v.description('Routes that were edited by hand, and left as they are')),
  rejected: v.optional(
    v.pipe(
      v.array(v.string()),
      v.description('Routes whose files NGINX rejects on this host: they are left as they are'),
    ),
  ),
  receipt: v.optional(Receipt),
  plan: v.optional(Plan),
})

/** Renders files again that no longer fit the host. */
export default endpoint(
  {
    operationId: 'reconcile',
    summary: 'Render files again that no longer fit the host, as one batch',
    description:
      'Happens by itself at a start, once a minute and before every change. Works while NGINX is stopped, or rejects other files of routes: then the files are tested, and the receipt says proved_by config_test.',
    method: 'POST',
    path: '/proxy-manager/reconcile',
    params: NoParams,
    query: DryRun,
    body: undefined,
    responses: {
      200: {
        description: 'What was rendered again; nothing, without a receipt, if every file fits the host',
        schema: Summary,
        example: { rendered: [DROPLET], shared_file: true, drifted: [], receipt: RECEIPT },
      },
    },
    errors: [
      'INVALID_REQUEST',
      'PROXY_CONFIG_FAILED',
      'NGINX_RELOAD_FAILED',
      'NGINX_ALREADY_BROKEN',
      'CONFIG_WRITE_FAILED',
      'BUSY',
    ],
  },
  async ({ query: { dry_run } }, { engine, origin }) => {
    if (dry_run) {
      const dryRun = await engine.dryRunReconcile()
      return { status: 200, body: { ...summaryOf(dryRun), plan: planOf(dryRun) }, logFields: { dry_run: true } }
    }
    const reconciled = await engine.reconcile(origin)
    const { receipt, rejected } = reconciled
    return {
      status: 200,
      body: {
        ...summaryOf(reconciled),
        ...(rejected === undefined ? {} : { rejected }),
        ...(receipt === undefined ? {} : { receipt }),
      },
      logFields: { routes: reconciled.routes.length, shared_file: reconciled.shared, generation: receipt?.generation },
    }
  },
)

function summaryOf({ routes, shared, drifted }: Pick<Reconciled, 'routes' | 'shared' | 'drifted'>) {
  return { rendered: [...routes].sort(), shared_file: shared, drifted }
}
