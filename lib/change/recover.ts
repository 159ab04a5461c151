/** Start-up recovery: finish or roll back an interrupted change, repair damaged files, and ensure that NGINX serves what is on disk. */
import { dirname } from 'node:path'
import { imageAt, isTemporary } from '../candidate/stage.ts'
import { CANDIDATE_PREFIX } from '../candidate/test-candidate.ts'
import { sweepCertbot } from '../certbot/start.ts'
import { copyName } from '../certificates/certificate.ts'
import { backUp, setAside } from '../host/backups.ts'
import { sameImage } from '../host/file-image.ts'
import type { Host } from '../host/host.ts'
import { logFailure } from '../host/log-failure.ts'
import { replaceText } from '../host/replace-file.ts'
import { sweepUploads } from '../keyring/uploads.ts'
import type { CertifyChange } from '../plan/change.ts'
import { readSharedFile } from '../render/shared-file.ts'
import { dropletOfFileName, isOwnFileName, routeFileName, SHARED_FILE } from '../route/droplet-name.ts'
import { wishOf } from '../route/names.ts'
import { lastGoodText, saveLastGood } from '../snapshot/last-good.ts'
import { missingFilesFault } from '../snapshot/missing-files.ts'
import { applyBatch } from './apply.ts'
import type { ChangeContext, ObservedHost } from './context.ts'
import { finishJournal, type Journal, readJournal } from './journal.ts'
import { reconcile } from './reconcile.ts'
import { renumberFile, rollBack } from './roll-back.ts'
import { assertUnedited, logBackUp } from './swap.ts'

const RECOVERY = { actor: { kind: 'recovery' } } as const

/**
 * Everything that has to be done before the API listens. May run any number of times, and be interrupted at any instant.
 * A step that fails is logged and shown by health; it never prevents the API from starting.
 * Returns the names of the steps that failed.
 */
export async function recover(context: ChangeContext): Promise<readonly string[]> {
  const undone: string[] = []
  const steps: readonly (readonly [action: string, step: (context: ChangeContext) => Promise<void>])[] = [
    ['recover_journal', recoverJournal],
    ['sweep_temporaries', sweepTemporaries],
    ['sweep_certbot', ({ host }) => sweepCertbot(host)],
    ['repair_files', repairFiles],
    ['repair_certificates', repairCertificates],
    ['reconcile', reconcileAll],
    ['confirm_served', confirmServed],
  ]
  for (const [action, step] of steps) {
    try {
      await step(context)
    } catch (error) {
      undone.push(action)
      logFailure(context.host, 'error', { action })(error)
    }
  }
  return undone
}

/**
 * Finishes a change that had reached its reload, if NGINX accepts it; rolls back every other one.
 * @throws {Error} if neither is possible now, or the files of the routes are not mounted: the journal stays
 */
export async function recoverJournal(context: ChangeContext): Promise<void> {
  const { host, state } = context
  state.degraded ??= 'the journal could not be read yet: a change may have been interrupted'
  assertMounted(host)
  const journal = readJournal(host)
  if (journal === undefined) {
    state.degraded = undefined
    return
  }
  if (journal === 'torn') {
    await setAside(host, host.paths.backups, host.paths.journal)
    host.log.write('warn', { action: 'recover_journal', result: 'success', outcome: 'quarantined' })
    state.degraded = undefined
    return
  }
  state.degraded = 'a change was interrupted and is not undone yet'
  const observation = await context.observe([])
  state.generation = Math.max(state.generation, journal.generation, observation.snapshot.shared?.generation ?? 0)
  // A rollback that failed, or was interrupted, may have put some of the previous files back already.
  const isInPlace = journal.files.every(({ path, after }) => sameImage(imageAt(host, path), after))
  const mayFinish = journal.phase === 'reloading' && isInPlace && journal.generation !== state.refused
  const unlogged = await context.events.missing(journal.events)
  const isFinal = unlogged.length < journal.events.length && journal.generation !== state.refused
  const isFinished = isFinal || (mayFinish && (await rollForward(observation, journal)))
  if (isFinished) await finishJournal(context, journal, unlogged)
  else {
    state.generation += 1
    const wasSignalled = journal.phase === 'reloading'
    const { files, generation: replaced } = journal
    const restored = files.map(({ before, after, ...file }) => ({ ...file, before: after, after: before }))
    await rollBack(host, observation.nginx, { files, generation: state.generation, replaced, wasSignalled })
    await saveLastGood(host, restored)
  }
  state.degraded = undefined
  const [outcome, { generation }] = [isFinished ? 'finished' : 'undone', journal]
  host.log.write('warn', { action: 'recover_journal', result: 'success', outcome, generation })
}

/** @throws {Error} if NGINX rejects the files of some routes; the others are in place */
async function reconcileAll(context: ChangeContext): Promise<void> {
  const { rejected = [] } = await reconcile(context)
  if (rejected.length > 0) throw new Error(`NGINX rejects the files of ${rejected.join(', ')} on this host`)
}

/** With the files of the routes unmounted, what is left of them would be taken for damage. */
function assertMounted(host: Host): void {
  const fault = missingFilesFault(host)
  if (fault !== undefined) throw new Error(fault)
}

async function rollForward({ nginx }: ObservedHost, journal: Journal): Promise<boolean> {
  const test = await nginx.testAsIs()
  if (!test.ok) return false
  const isServed = nginx.findMaster() === undefined || (await nginx.servedGeneration()) === journal.generation
  if (!isServed) {
    const reload = await nginx.reload(journal.generation, test.durationMs)
    if (!reload.ok && reload.reason !== 'not_running') return false
  }
  return true
}

async function sweepTemporaries({ host, state, observe }: ChangeContext): Promise<void> {
  const { NGINX_SITES_AVAILABLE, NGINX_SITES_ENABLED } = host.settings
  const { staging, root, lastGood, backups } = host.paths
  const { snapshot, hasMainConfig } = await observe([])
  const sweep = async (folder: string, isLeftover: (name: string) => boolean) => {
    for (const name of host.files.list(folder).filter(isLeftover)) await host.files.remove(`${folder}/${name}`)
  }
  const sites = [NGINX_SITES_AVAILABLE, NGINX_SITES_ENABLED, ...snapshot.host.folders]
  for (const folder of new Set([...sites, root, lastGood, backups])) await sweep(folder, isTemporary)
  if (state.degraded === undefined) await sweepUploads(host)
  for (const name of host.files.list(staging)) await host.files.removeFolder(`${staging}/${name}`)
  const isCandidate = (name: string) => name.startsWith(CANDIDATE_PREFIX) && name.endsWith('.conf')
  if (hasMainConfig) await sweep(dirname(snapshot.host.mainPath), isCandidate)
}

/**
 * An empty or truncated file passes `nginx -t` and silently drops its site; a dangling symlink prevents NGINX from starting.
 * The former is restored from the copy of the last proved file, the latter removed. Edits by hand are left as they are.
 */
async function repairFiles(context: ChangeContext): Promise<void> {
  const { host, observe } = context
  assertMounted(host)
  const { snapshot } = await observe([])
  // Only a file that is not as written can be a truncated one.
  const drifted = [...snapshot.routes].flatMap(([name, { drifted, isOnlyEnabled }]) =>
    drifted && isOnlyEnabled !== true ? [routeFileName(name)] : [],
  )
  const names = new Set([...snapshot.availableImages.keys(), ...drifted])
  if (snapshot.shared === undefined && snapshot.routes.size > 0) names.add(SHARED_FILE)
  const repairs = [...names].flatMap((name) => {
    const path = `${snapshot.sitesAvailable}/${name}`
    const text = host.files.read(path)?.text ?? ''
    const good = lastGoodText(host, name)
    return good === undefined || good === text || !good.startsWith(text) ? [] : [{ name, path, text, good }]
  })
  // NGINX may have read the damaged files. The new generation comes first: after a crash between the two it is still missing.
  const shared = repairs.find(({ name }) => name === SHARED_FILE)?.good ?? snapshot.shared?.text
  // Somebody may have removed the end of a file on purpose.
  for (const { name, path } of repairs.filter(({ text }) => text !== '')) {
    await backUp(host, host.paths.backups, name, path)
    logBackUp(host, path)
  }
  if (repairs.length > 0 && shared !== undefined) await renewGeneration(context, shared)
  for (const { name, path, good } of repairs) {
    if (name !== SHARED_FILE) await replaceText(host, path, good)
    host.log.write('warn', { action: 'repair_file', result: 'success', outcome: 'restored', file: name })
  }
  if (snapshot.shared?.enabled === false && snapshot.routes.size > 0 && !snapshot.enabledImages.has(SHARED_FILE)) {
    // Every route uses its variables: without it NGINX would not start.
    await host.files.symlink(`${snapshot.sitesAvailable}/${SHARED_FILE}`, `${snapshot.sitesEnabled}/${SHARED_FILE}`)
    await host.files.syncFolder(snapshot.sitesEnabled)
    host.log.write('warn', { action: 'repair_link', result: 'success', outcome: 'restored', file: SHARED_FILE })
  }
  const isServed = (name: string) => {
    const route = snapshot.routes.get(dropletOfFileName(name) ?? '')
    return route?.enabled === true && !route.drifted
  }
  for (const name of host.files.list(snapshot.sitesEnabled)) {
    if (!isOwnFileName(name) || isServed(name)) continue
    const link = `${snapshot.sitesEnabled}/${name}`
    if (host.files.lstat(link)?.kind !== 'link' || host.files.realPath(link) !== undefined) continue
    await host.files.remove(link)
    await host.files.syncFolder(snapshot.sitesEnabled)
    host.log.write('warn', { action: 'repair_link', result: 'success', outcome: 'removed', file: name })
  }
}

/**
 * An unreadable certificate prevents NGINX from starting at all: its route gets the one of its lineage, or continues over HTTP.
 * Also runs before NGINX starts, so it does not need a running NGINX.
 */
async function repairCertificates(context: ChangeContext): Promise<void> {
  const { snapshot } = await context.observe([])
  const broken = [...snapshot.routes.values()].filter(
    ({ record, drifted }) => !drifted && !context.certificates.isCopied(record),
  )
  const choose = context.certificates.look()
  const changes: CertifyChange[] = []
  for (const { record } of broken) {
    const { domain, droplet_name: dropletName, certificate } = record
    const found = choose(wishOf(record))
    const there = found === undefined || 'fault' in found ? undefined : found
    if (there !== undefined && certificate !== null && copyName(there.summary) === copyName(certificate)) {
      await context.certificates.copy(new Map([[domain, there]]))
    } else {
      changes.push({ kind: 'certify', dropletName, domain, origin: RECOVERY })
    }
    const fields = { action: 'repair_certificate', result: 'started', droplet_name: dropletName, domain } as const
    context.host.log.write('warn', fields)
  }
  if (changes.length === 0) return
  const { results, cleanup } = await applyBatch(context, changes, { allowStoppedNginx: true })
  await cleanup()
  for (const result of results) if (result instanceof Error) throw result
}

/**
 * If it is not proved that NGINX serves what is on disk, reloads it with a new generation and proves that.
 * @throws {Error} if NGINX does not take over what is on disk
 */
export async function confirmServed(context: ChangeContext): Promise<void> {
  const { host, state } = context
  const { snapshot, nginx } = await context.observe([])
  const { shared, host: configuration } = snapshot
  if (shared === undefined) return
  state.generation = Math.max(state.generation, shared.generation)
  const isComparable = configuration.includesSitesEnabled && shared.enabled && state.degraded === undefined
  if (!isComparable || nginx.findMaster() === undefined) return
  const served = await nginx.servedGeneration()
  if (served === shared.generation || served === 'unknown') return
  const test = await nginx.testAsIs()
  if (!test.ok) throw new Error('NGINX serves another configuration than the one on disk, which fails its test')
  const sharedPath = `${snapshot.sitesAvailable}/${SHARED_FILE}`
  assertUnedited(host, { path: sharedPath, before: { text: shared.text }, after: null })
  // Another number in NGINX's answer leaves the one on disk for the proof.
  const generation = served === undefined ? await renewGeneration(context, shared.text) : shared.generation
  const reload = await nginx.reload(generation, test.durationMs)
  const event = { origin: RECOVERY, generation, outcome: reload.ok ? 'served_another' : reload.reason }
  await context.events.add({ type: reload.ok ? 'nginx.reloaded' : 'nginx.reload_failed', ...event })
  if (!reload.ok) throw new Error(`NGINX serves another configuration than the one on disk (${reload.reason})`)
  host.log.write('warn', { action: 'confirm_served', result: 'success', outcome: 'reloaded', generation })
}

/** Writes the shared file with a new generation, so that a proof is about the files as they are from now on. Returns it. */
async function renewGeneration({ host, state }: ChangeContext, shared: string): Promise<number> {
  state.generation = Math.max(state.generation, readSharedFile(shared)?.generation ?? 0) + 1
  await renumberFile(host, shared, state.generation)
  return state.generation
}
