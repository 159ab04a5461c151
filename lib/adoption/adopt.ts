/** Moving in: routes take the place of a hand-written site, all of them or none, in one batch with one reload. */
import { imageAt, removeTemporaries } from '../candidate/stage.ts'
import { bisectBatch, verdictOn } from '../change/bisect.ts'
import { commitBatch } from '../change/commit.ts'
import type { BatchDryRun, ChangeContext, Receipt } from '../change/context.ts'
import { assertIncluded, type Prepared, prepare } from '../change/pipeline.ts'
import { reconcileBefore } from '../change/reconcile.ts'
import { editedSince } from '../change/swap.ts'
import type { FileChange } from '../host/file-image.ts'
import type { PutChange } from '../plan/change.ts'
import { originOf } from '../plan/change-events.ts'
import type { BatchPlan } from '../plan/plan-batch.ts'
import type { AcceptedChange } from '../plan/plan-change.ts'
import { upstreamName } from '../render/failover.ts'
import { routeFileName } from '../route/droplet-name.ts'
import { unsecuredNames } from '../route/names.ts'
import type { SiteFile } from '../sites/site-files.ts'
import { notAdoptable } from './host-sites.ts'

/** What took the place of a site. */
export interface Adopted {
  /** In the order of the site. */
  readonly outcomes: readonly AcceptedChange[]
  readonly receipt: Receipt
}

/** What would take its place. */
export interface AdoptionDryRun extends Pick<BatchDryRun, 'files' | 'test'> {
  readonly outcomes: readonly AcceptedChange[]
}

/**
 * Tests the routes without the site, swaps them, reloads NGINX and proves that it serves them. To be called while no batch is applied.
 * @throws {ProxyManagerError} what a change can fail with; then the site is served as before, unless `details.state` is `degraded`
 */
export async function adoptSite(
  context: ChangeContext,
  site: SiteFile,
  changes: readonly PutChange[],
): Promise<Adopted> {
  await reconcileBefore(context, await context.observe([]))
  const { plan, prepared, outcomes } = await planAdoption(context, site, changes)
  const { observation } = prepared
  let isCommitted = false
  try {
    context.progress.report('testing', changes)
    const accepted = await bisectBatch(context, observation, changes, () => plan, WHOLE)
    assertAsRead(context, site)
    context.progress.report('installing', changes)
    isCommitted = true
    const { receipt, cleanup } = await commitBatch(context, observation, plan, accepted, WHOLE)
    await cleanup()
    return { outcomes, receipt }
  } finally {
    context.state.unconfirmed = undefined
    // A swap has already renamed or removed its temporaries.
    if (!isCommitted) await removeTemporaries(context.host, plan.files)
  }
}

/** The same, without changing anything. */
export async function dryRunAdoption(
  context: ChangeContext,
  site: SiteFile,
  changes: readonly PutChange[],
): Promise<AdoptionDryRun> {
  const { plan, prepared, outcomes } = await planAdoption(context, site, changes)
  const copied = await context.certificates.copy(plan.certificates)
  try {
    const testing = bisectBatch(context, prepared.observation, changes, () => plan, WHOLE)
    return { outcomes, files: plan.files, test: await verdictOn(changes, testing) }
  } finally {
    await removeTemporaries(context.host, plan.files)
    await Promise.allSettled(copied.map((folder) => context.host.files.removeFolder(folder)))
  }
}

const WHOLE = { allowStoppedNginx: false, isIndivisible: true } as const

/** An event has at most 4 KiB. */
const MAX_NAMES = 50

interface PlannedAdoption {
  readonly plan: BatchPlan
  readonly prepared: Prepared
  readonly outcomes: readonly AcceptedChange[]
}

async function planAdoption(
  context: ChangeContext,
  site: SiteFile,
  changes: readonly PutChange[],
): Promise<PlannedAdoption> {
  const prepared = await prepare(context, changes, { leaving: site.path })
  assertAsRead(context, site)
  assertIncluded(prepared.observation)
  const planned = prepared.planFor(changes)
  const outcomes = planned.outcomes.map((one) => {
    if (one.outcome === 'refused') throw one.error
    const { record } = one.route
    const [name] = record.enable_ssl ? unsecuredNames(record) : []
    if (name !== undefined) throw notAdoptable([], { message: `No certificate can be served for ${name}` })
    return one
  })
  // A file with the name of a route's is replaced by it; its symlink may stay as it is.
  const { sitesEnabled } = prepared.observation.snapshot
  const isReplaced = changes.some(({ dropletName }) => site.path === `${sitesEnabled}/${routeFileName(dropletName)}`)
  const files = isReplaced ? planned.files : [...planned.files, removalOf(context, site, changes)]
  const details = { file: site.name, routes: changes.map(({ dropletName }) => dropletName).slice(0, MAX_NAMES) }
  const adopted = { type: 'site.adopted', origin: originOf(changes[0]), details } as const
  return { plan: { ...planned, files, events: [adopted] }, prepared, outcomes }
}

/** NGINX does not start with two upstreams of one name, or with two default servers of one address. */
function removalOf({ host }: ChangeContext, { path, directives }: SiteFile, changes: readonly PutChange[]): FileChange {
  const isDefault = directives.some(({ block = [] }) =>
    block.some(({ name, args }) => name === 'listen' && args.some((arg) => /^default(_server)?$/.test(arg))),
  )
  const ours = changes.map(({ dropletName }) => upstreamName(dropletName))
  const isSameUpstream = directives.some(({ name, args }) => name === 'upstream' && ours.includes(args[0] ?? ''))
  return { path, before: imageAt(host, path), after: null, site: isDefault || isSameUpstream ? 'first' : 'last' }
}

/** @throws {ProxyManagerError} CONFIG_WRITE_FAILED if the site has been edited since it was judged */
function assertAsRead({ host }: ChangeContext, { texts }: SiteFile): void {
  for (const [path, text] of texts) if (host.files.read(path)?.text !== text) throw editedSince(path)
}
