/** What goes wrong in the walk, in the catalogue's words, each with the remedy for a tired operator. */
import { type HostState, ProxyManagerError, type Stage } from '../core/errors.ts'
import type { ReloadFailure, ReloadResult } from './reload.ts'
import type { TestResult } from './stage.ts'

/** NGINX refuses this change. */
export function configFailed(test: TestResult): ProxyManagerError {
  const culprit = test.ended ? {} : { culprit: 'host' }
  return new ProxyManagerError('PROXY_CONFIG_FAILED', {
    details: { nginx_output: test.output, diagnostics: test.diagnostics, ...culprit },
  })
}

/** NGINX refuses the host's configuration without any change of ours. */
export function alreadyBroken(test: TestResult): ProxyManagerError {
  const file = test.diagnostics.find((diagnostic) => diagnostic.file !== null)?.file ?? "the host's configuration"
  return new ProxyManagerError('NGINX_ALREADY_BROKEN', {
    details: {
      nginx_output: test.output,
      diagnostics: test.diagnostics,
      remedy: `Mend ${file} (nginx -t shows the same), then call again`,
    },
  })
}

/** NGINX would never see a route. */
export function notIncluded(sitesEnabled: string): ProxyManagerError {
  return new ProxyManagerError('PROXY_CONFIG_FAILED', {
    message: "NGINX's main configuration does not include sites-enabled",
    details: { stage: 'plan', culprit: 'host', remedy: missingInclude(sitesEnabled) },
  })
}

/** The line that the operator has to add. */
export function missingInclude(sitesEnabled: string): string {
  return `Add "include ${sitesEnabled}/*;" to the http block of NGINX's main configuration`
}

const RELOAD_FAILURES: Readonly<Record<ReloadFailure, { readonly message: string; readonly remedy: string }>> = {
  not_running: { message: 'NGINX is not running', remedy: 'Start NGINX (systemctl start nginx), then call again' },
  upgrading: {
    message: "NGINX's binary is being replaced: a former master still serves beside the new one",
    remedy: 'Finish the upgrade (QUIT to the master in nginx.pid.oldbin), or take it back, then call again',
  },
  refused: {
    message: 'NGINX refused the new configuration after its test had passed',
    remedy: 'See nginx_output: often a port that another process holds',
  },
  wrong_certificate: {
    message: 'NGINX did not show the certificate that the route is to have',
    remedy: 'See nginx_output; look whether another server block has the domain on the HTTPS port',
  },
  not_confirmed: {
    message: 'NGINX did not serve the new configuration in time',
    remedy: "See NGINX's error log; a listener with proxy_protocol on the HTTP port cannot be probed",
  },
}

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

/** The process is about to end. */
export function stopping(): ProxyManagerError {
  return new ProxyManagerError('BUSY', { message: 'Proxy Manager is stopping', retryAfterS: 2 })
}

/** The same failure, with what became of the host added. */
export function withDetails(failure: ProxyManagerError, details: Readonly<Record<string, unknown>>): ProxyManagerError {
  return new ProxyManagerError(failure.code, {
    message: failure.message,
    details: { ...failure.details, ...details },
    cause: failure.cause,
  })
}
