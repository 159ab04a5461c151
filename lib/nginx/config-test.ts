/** Runs `nginx -t`. */
import type { Host } from '../host/host.ts'
import { configurationArguments } from './binary.ts'
import { type Diagnostic, findUnacceptable, parseDiagnostics, publicOutput } from './config/diagnostic.ts'

export interface TestResult {
  readonly ok: boolean
  /** `nginx -t` could be run, and ended in time. */
  readonly ended: boolean
  /** NGINX's output, without directories. */
  readonly output: string
  readonly diagnostics: readonly Diagnostic[]
  readonly durationMs: number
}

const TEST_TIMEOUT_MS = 15_000

/** Tests the live files; only used if there is no main configuration to make a candidate of. `domains` as in {@link runTest}. */
export async function testLive(host: Host, domains: ReadonlySet<string>): Promise<TestResult> {
  return await runTest(host, configurationArguments(host.settings), domains)
}

/**
 * Runs `nginx -t` with these arguments. A conflicting server name among `domains`, which NGINX only warns about, counts as a failure.
 * `inRealNames` replaces the candidate's paths in the output by the live ones.
 */
export async function runTest(
  host: Host,
  configuration: readonly string[],
  domains: ReadonlySet<string>,
  inRealNames: (output: string) => string = (output) => output,
): Promise<TestResult> {
  const started = host.clock.monotonicMs()
  const { exitCode, output: raw } = await host.runner.run(host.settings.NGINX_BIN, ['-t', ...configuration], {
    timeoutMs: TEST_TIMEOUT_MS,
  })
  const output = inRealNames(raw)
  const diagnostics = parseDiagnostics(output)
  const isAccepted = exitCode === 0 && findUnacceptable(diagnostics, (domain) => domains.has(domain)) === undefined
  const note =
    exitCode === 124
      ? `\nnginx -t did not end within ${TEST_TIMEOUT_MS / 1000} s`
      : exitCode === 127 || exitCode === 126
        ? '\nNGINX cannot be run: install it, or correct NGINX_BIN'
        : ''
  const durationMs = host.clock.monotonicMs() - started
  host.metrics.nginxTest(isAccepted, durationMs)
  return { ok: isAccepted, ended: note === '', output: publicOutput(output + note), diagnostics, durationMs }
}
