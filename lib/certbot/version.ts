/** Whether this certbot can do what the settings ask of it. */
import { type CertbotHost, startCertbot } from './start.ts'

/** certbot has --required-profile since this version (certbot's CHANGELOG, 4.0.0). */
const FIRST_WITH_PROFILES = 4

/** Why the service cannot start with these settings; whether another attempt may succeed without a change of them. */
export async function certbotFault(
  host: CertbotHost,
): Promise<{ readonly fault: string; readonly isTransient: boolean } | undefined> {
  const { ACME_PROFILE, CERTBOT_BIN } = host.settings
  if (ACME_PROFILE === undefined) return undefined
  const { exitCode, output } = await startCertbot(host, ['--version'], { timeoutMs: 60_000 })
  const major = /^certbot (\d+)\./m.exec(output)?.[1]
  if (Number(major) >= FIRST_WITH_PROFILES) return undefined
  const found =
    major === undefined ? `cannot be run (exit status ${exitCode})` : `is ${/^certbot .*$/m.exec(output)?.[0]}`
  const fault = `ACME_PROFILE: requires certbot ${FIRST_WITH_PROFILES}.0 or later, but ${CERTBOT_BIN} ${found}: install a later one, or unset ACME_PROFILE`
  return { fault, isTransient: major === undefined && exitCode !== 127 }
}
