/** What happens to certificates without a call: renewals are installed, pending routes get theirs, expiring ones are renewed. */
import { isDueForRenewal, isOverdueForRenewal, isSameCopy, knownSummary } from '../certificates/certificate.ts'
import { readLedger } from '../certificates/ledger-file.ts'
import { nextTryAt } from '../certificates/order-ledger.ts'
import type { ChangeContext } from '../change/context.ts'
import { logFailure } from '../host/log-failure.ts'
import { singleFlight } from '../host/single-flight.ts'
import { awaitsCertificate, wishOf } from '../route/names.ts'
import { asOwner } from '../route/site.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import { mustOrder } from './may-order.ts'
import type { Certify, Issuer } from './obtain.ts'

export interface CertificateMaintenance {
  /** Installs renewals: at once if certbot's deploy hook has touched its mark, otherwise once a minute. Cheap enough to be called every second. */
  adoptRenewals(): Promise<void>
  /** Orders for routes with HTTPS that lack a certificate for one of their names, once the pause after their last failure is over. */
  issuePending(): Promise<void>
  /** Orders for routes whose certificate has less than a third of its lifetime left. */
  renewDue(): Promise<void>
  /** Orders for routes whose certificate the host's own timer should have renewed already: that reads a cli.ini of its own. */
  renewOverdue(): Promise<void>
}

const CHECK_EVERY_MS = 60_000

/** Makes the jobs; `certify` switches a route to the certificate that exists for its domain. */
export function certificateMaintenance(
  context: ChangeContext,
  issuer: Issuer,
  certify: Certify,
): CertificateMaintenance {
  const { host } = context
  const ordering = singleFlight<void>()
  const renew = (isDue: typeof isDueForRenewal): Promise<void> =>
    ordering.run(async () => {
      const routes = (await routesWithHttps(context)).filter(
        ({ record }) => record.certificate !== null && isDue(record.certificate, host.clock.nowMs()),
      )
      await orderFor(context, issuer, routes)
    })
  let seenMark: string | undefined
  let checkedAtMs = Number.NEGATIVE_INFINITY
  return {
    adoptRenewals: async () => {
      const mark = host.files.stamp(host.paths.renewedMark)
      const nowMs = host.clock.monotonicMs()
      if (mark === seenMark && nowMs - checkedAtMs < CHECK_EVERY_MS) return
      seenMark = mark
      checkedAtMs = nowMs
      await adopt(context, issuer, certify)
    },
    issuePending: () =>
      ordering.run(async () =>
        orderFor(
          context,
          issuer,
          (await routesWithHttps(context)).filter(({ record }) => awaitsCertificate(record)),
        ),
      ),
    renewDue: () => renew(isDueForRenewal),
    renewOverdue: () => renew(isOverdueForRenewal),
  }
}

/** The routes that have the names of a domain for which HTTPS is wanted. */
async function routesWithHttps({ observe }: ChangeContext): Promise<readonly SnapshotRoute[]> {
  const { snapshot } = await observe([])
  const owners = [...snapshot.routes.values()].filter(
    ({ servedBy, drifted, enabled }) => servedBy === undefined && enabled && !drifted,
  )
  const routes = owners.map((route) => ({ ...route, record: asOwner(route) })).filter(({ record }) => record.enable_ssl)
  const first = routes.find(({ record }) => record.certificate === null)
  // Neither an order nor a reload is of use before the HTTPS port is free.
  const isTaken = first !== undefined && (await observe([wishOf(first.record)])).isHttpsTaken
  return isTaken ? routes.filter(({ record }) => record.certificate !== null) : routes
}

/** Switches every route to the certificate that it does not serve yet, except while a call is issuing it. */
async function adopt(context: ChangeContext, issuer: Issuer, certify: Certify): Promise<void> {
  const { host, certificates } = context
  const routes = await routesWithHttps(context)
  const choose = certificates.look()
  const renewed = routes.filter(({ record }) => {
    if (issuer.isIssuing(record.domain)) return false
    const found = choose(wishOf(record))
    if (found === undefined || 'fault' in found) return false
    return !isSameCopy(knownSummary(found, record.certificate), record.certificate)
  })
  await Promise.all(
    renewed.map(async ({ record: { droplet_name, domain } }) => {
      const fields = { action: 'adopt_renewal', droplet_name, domain }
      await certify(droplet_name, domain).then(
        () => host.log.write('info', { ...fields, result: 'success' }),
        logFailure(host, 'error', fields),
      )
    }),
  )
}

/** One after another: parallel orders in the background would keep callers waiting for certbot. */
async function orderFor(context: ChangeContext, issuer: Issuer, routes: readonly SnapshotRoute[]): Promise<void> {
  const { host, closing } = context
  for (const route of routes) {
    if (closing.aborted) return
    const { record } = route
    // Another's certificate is renewed by its owner: what is to be done about it is said by health.
    const isAnothers = record.certificate_from !== undefined || record.certificate?.source !== undefined
    if (isAnothers && (record.certificate_from !== undefined || !mustOrder(context, route, { forceRenew: false })))
      continue
    const nowMs = host.clock.nowMs()
    if (nextTryAt(readLedger(host, record.domain), nowMs, host.settings) > nowMs) continue
    const fields = { action: 'issue_in_background', droplet_name: record.droplet_name, domain: record.domain }
    await issuer
      .issue({ dropletName: record.droplet_name, forceRenew: false, isBackground: true })
      .then(() => host.log.write('info', { ...fields, result: 'success' }), logFailure(host, 'warn', fields))
  }
}
