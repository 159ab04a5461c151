/** The programs that are measured or measure, and the machine. */
import { spawnSync } from 'node:child_process'
import { cpus, release, totalmem } from 'node:os'
import { NGINX_BIN } from '../../fixtures/nginx-instance.ts'

export type Program = 'caddy' | 'wrk' | 'h2load' | 'openssl'

/** How each program prints its version, and the pattern that finds it. */
const VERSIONS: Readonly<
  Record<Program | 'nginx' | 'nginxOpenssl', readonly [file: string, arg: string, version: RegExp]>
> = {
  nginx: [NGINX_BIN, '-v', /nginx\/(\S+)/],
  nginxOpenssl: [NGINX_BIN, '-V', /built with OpenSSL (\S+)/],
  openssl: ['openssl', 'version', /OpenSSL (\S+)/],
  caddy: ['caddy', 'version', /^v?(\d\S*)/],
  wrk: ['wrk', '-v', /^wrk (\S+)/],
  h2load: ['h2load', '--version', /nghttp2\/(\S+)/],
}

/** The version of a program; `undefined` if it is not installed. */
function versionOf(program: keyof typeof VERSIONS): string | undefined {
  const [file, arg, pattern] = VERSIONS[program]
  const { error, stdout, stderr } = spawnSync(file, [arg], { encoding: 'utf8', timeout: 10_000 })
  return error === undefined ? (pattern.exec(stdout + stderr)?.[1] ?? 'unknown') : undefined
}

export function isInstalled(program: Program): boolean {
  return versionOf(program) !== undefined
}

/** The machine and the versions of a measurement. */
export function describeMachine(): string {
  const processors = cpus()
  const versions = (
    [
      ['NGINX', 'nginx'],
      ['built with OpenSSL', 'nginxOpenssl'],
      ['OpenSSL', 'openssl'],
      ['Caddy', 'caddy'],
      ['wrk', 'wrk'],
      ['h2load', 'h2load'],
    ] as const
  ).map(([title, program]) => `${title} ${versionOf(program) ?? '(missing)'}`)
  return [
    `date     ${new Date().toISOString()}`,
    `machine  ${processors.length} cores (${processors[0]?.model.trim()}), ${(totalmem() / 2 ** 30).toFixed(1)} GiB, kernel ${release()}`,
    `versions Node ${process.versions.node}, ${versions.join(', ')}`,
  ].join('\n')
}
