/** The programs that figures are taken of and with, and the machine that they run on. */
import { spawnSync } from 'node:child_process'
import { cpus, release, totalmem } from 'node:os'
import { NGINX_BIN } from '../../fixtures/nginx-instance.ts'

export type Program = 'caddy' | 'wrk' | 'h2load' | 'openssl'

/** How each program tells its version, and where in its words it stands. */
const VERSIONS: Readonly<Record<Program | 'nginx', readonly [file: string, arg: string, version: RegExp]>> = {
  nginx: [NGINX_BIN, '-v', /nginx\/(\S+)/],
  openssl: ['openssl', 'version', /OpenSSL (\S+)/],
  caddy: ['caddy', 'version', /^v?(\d\S*)/],
  wrk: ['wrk', '-v', /^wrk (\S+)/],
  h2load: ['h2load', '--version', /nghttp2\/(\S+)/],
}

/** The version of a program; `undefined` where it is not installed. */
function versionOf(program: Program | 'nginx'): string | undefined {
  const [file, arg, pattern] = VERSIONS[program]
  const { error, stdout, stderr } = spawnSync(file, [arg], { encoding: 'utf8', timeout: 10_000 })
  return error === undefined ? (pattern.exec(stdout + stderr)?.[1] ?? 'unknown') : undefined
}

export function isInstalled(program: Program): boolean {
  return versionOf(program) !== undefined
}

/** What the figures were taken on. */
export function describeMachine(): string {
  const processors = cpus()
  const versions = (
    [
      ['NGINX', 'nginx'],
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
