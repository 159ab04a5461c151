/** What the answers about routes look like, for the API's description. */
import { type AnswerExamples, CERTIFICATE, DOMAIN, DROPLET, PROXY, RECEIPT } from './sample.ts'

const UNCHANGED = { ...RECEIPT, reloaded: false, proved_by: 'files_unchanged', proved_ms: 0 }
const PUT = {
  200: { ...PROXY, receipt: UNCHANGED },
  201: { ...PROXY, receipt: RECEIPT },
  202: {
    ...PROXY,
    ssl_enabled: false,
    status: 'pending_ssl',
    certificate: null,
    receipt: { ...RECEIPT, proved_by: 'generation_probe' },
    next: {
      method: 'POST',
      path: `/proxies/${DROPLET}/ssl`,
      reason: `${DOMAIN} is served over HTTP; HTTPS is wanted and there is no certificate yet`,
    },
  },
}

export const PROXY_EXAMPLES: AnswerExamples = {
  putProxy: PUT,
  createProxy: PUT,
  listProxies: { 200: [PROXY] },
  getProxy: { 200: PROXY },
  deleteProxy: {
    200: { status: 'deleted', droplet_name: DROPLET, receipt: { ...RECEIPT, proved_by: 'generation_probe' } },
  },
  issueCertificate: {
    200: {
      droplet_name: DROPLET,
      domain: DOMAIN,
      status: 'active',
      expiry: CERTIFICATE.expiry,
      issuer: CERTIFICATE.issuer,
      certificate: CERTIFICATE,
      ordered: true,
      preflight: [{ check: 'dns', domain: DOMAIN, ok: true, detail: `${DOMAIN} resolves to 192.0.2.7` }],
      receipt: RECEIPT,
    },
  },
  syncFromRegistry: {
    200: {
      synced: [DROPLET],
      synced_count: 1,
      created: [DROPLET],
      updated: [],
      unchanged: [],
      deleted: [],
      skipped: [{ name: 'billing', reason: 'is not active (inactive)' }],
      skipped_count: 1,
      orphaned: [],
    },
  },
}
