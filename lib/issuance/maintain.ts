/** What has to happen to certificates without a call: renewals are brought in, pending routes get theirs, what runs out is renewed. */

import { isDueForRenewal } from '../certificates/certificate.ts'
import { ledgerOf } from '../certificates/ledger-file.ts'
import { nextTryAt } from '../certificates/order-ledger.ts'
import type { Applied, ChangeContext } from '../change/context.ts'
import { logFailure } from '../host/log-failure.ts'
import { singleFlight } from '../host/single-flight.ts'
import { awaitsCertificate } from '../route/names.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { Issuer } from './obtain.ts'

export interface CertificateMaintenance {
  /** Looks for renewals: at once where certbot's deploy hook has left its mark, else every minute. Cheap enough to be called every second. */
  adoptRenewals(): Promise<void>
  /** Orders for routes that want HTTPS and have no certificate for one of their names, where the last failure is long enough ago. */
  issuePending(): Promise<void>
  /** Orders for routes whose certificate has less than a third of its life left. */
  renewDue(): Promise<void>
}

const LOOK_EVERY_MS = 60_000

export function certificateMaintenance(
  context: ChangeContext,
  issuer: Issuer,
  certify: (dropletName: string, domain: string) => Promise<Applied>,
): CertificateMaintenance {
  const { host } = context
  let seenMark: string | undefined
  let lookedAtMs = Number.NEGATIVE_INFINITY
  const ordering = singleFlight<void>()

  const routesWantingHttps = async (): Promise<readonly SnapshotRoute[]> => {
    const { snapshot } = await context.observe([])
    const routes = [...snapshot.routes.values()].filter(
      ({ record, drifted, enabled }) => record.enable_ssl && enabled && !drifted,
    )
    const first = routes.find(({ record }) => record.certificate === null)
    // Neither an order nor a reload is of use before the HTTPS port is free.
    const isTaken = first !== undefined && (await context.observe([first.record.domain])).isHttpsTaken
    return isTaken ? routes.filter(({ record }) => record.certificate !== null) : routes
  }

  const adopt = async (): Promise<void> => {
    const renewed = (await routesWantingHttps()).filter(({ record }) => {
      if (issuer.isIssuing(record.domain)) return false
      const newest = context.certificates.newest(record.domain)
      return newest !== undefined && newest.summary.fingerprint_sha256 !== record.certificate?.fingerprint_sha256
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

  /** One after another: a background that orders in parallel would keep callers waiting for certbot. */
  const orderFor = async (routes: readonly SnapshotRoute[]): Promise<void> => {
    for (const { record } of routes) {
      if (context.closing.aborted) return
      if (nextTryAt(ledgerOf(host, record.domain), host.clock.nowMs()) > host.clock.nowMs()) continue
      const fields = { action: 'issue_in_background', droplet_name: record.droplet_name, domain: record.domain }
      await issuer
        .issue({ dropletName: record.droplet_name, forceRenew: false })
        .then(() => host.log.write('info', { ...fields, result: 'success' }), logFailure(host, 'warn', fields))
    }
  }

  return {
    adoptRenewals: async () => {
      const mark = host.files.stamp(host.paths.renewedMark)
      const nowMs = host.clock.monotonicMs()
      if (mark === seenMark && nowMs - lookedAtMs < LOOK_EVERY_MS) return
      seenMark = mark
      lookedAtMs = nowMs
      await adopt()
    },
    issuePending: () =>
      ordering.run(async () =>
        orderFor((await routesWantingHttps()).filter(({ record }) => awaitsCertificate(record))),
      ),
    renewDue: () =>
      ordering.run(async () => {
        const isDue = ({ record }: SnapshotRoute) =>
          record.certificate !== null && isDueForRenewal(record.certificate, host.clock.nowMs())
        await orderFor((await routesWantingHttps()).filter(isDue))
      }),
  }
}
