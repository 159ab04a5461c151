/** How a reload ended, and what to do if it failed. */
import { type HostState, ProxyManagerError, type Stage } from '../errors.ts'
import type { Diagnostic } from './config/diagnostic.ts'

const RELOAD_FAILURES: Readonly<Record<ReloadFailure, { readonly message: string; readonly remedy: string }>> = {
  not_running: { message: 'NGINX is not running', remedy: 'Start NGINX (systemctl start nginx), then call again' },
  upgrading: {
    message: "NGINX's binary is being upgraded: the old master still serves beside the new one",
    remedy: 'Finish the upgrade (send QUIT to the master in nginx.pid.oldbin) or revert it, then call again',
  },
  refused: {
    message: 'NGINX rejected the new configuration, although its test had passed',
    remedy: 'See nginx_output: often another process uses the port',
  },
  wrong_certificate: {
    message: "NGINX does not present the route's certificate",
    remedy: 'See nginx_output; check whether another server block serves the domain on the HTTPS port',
  },
  not_confirmed: {
    message: 'NGINX did not serve the new configuration in time',
    remedy:
      "See NGINX's error log (standard error and syslog are not read here), and check that NGINX serves every address that it listens on",
  },
}

/** NGINX_RELOAD_FAILED for a reason; `at` is the step of the change and the state of the host. */
export function reloadFailed(
  reason: ReloadFailure,
  at: { readonly stage: Stage; readonly state: HostState },
  reload?: ReloadResult & { ok: false },
): ProxyManagerError {
  const { message, remedy } = RELOAD_FAILURES[reason]
  const nginx_output = reload?.output ?? ''
  return new ProxyManagerError('NGINX_RELOAD_FAILED', {
    message,
    details: { ...at, reason, remedy, nginx_output, diagnostics: reload?.diagnostics ?? [] },
  })
}

/**
 * How it is known that NGINX serves the new configuration. `exit_status` is that of `nginx -s reload`; with `config_test` it accepts these files and
 * does not serve them: it is stopped, or rejects other files of ours.
 */
export type ProvedBy = 'generation_probe' | 'tls_handshake' | 'exit_status' | 'config_test'

/** Times in milliseconds: from the signal until the old workers stopped accepting, and from then until the proof. */
export type ReloadResult =
  | { readonly ok: true; readonly provedBy: ProvedBy; readonly reloadMs: number; readonly confirmMs: number }
  | {
      readonly ok: false
      readonly reason: ReloadFailure
      readonly output: string
      readonly diagnostics: readonly Diagnostic[]
    }

export type ReloadFailure = 'not_running' | 'upgrading' | 'refused' | 'not_confirmed' | 'wrong_certificate'

export function notRunning(): ReloadResult {
  return { ok: false, reason: 'not_running', output: '', diagnostics: [] }
}
