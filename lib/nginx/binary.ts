/** What the NGINX binary says of itself: `nginx -V`, asked once for each binary that stands at the path. */
import type { Host } from '../host/host.ts'
import { singleFlight } from '../host/single-flight.ts'
import type { Settings } from '../settings/settings.ts'
import type { HostConfiguration } from './config/host-config.ts'
import type { Version } from './config/version.ts'

/** The arguments that name the main configuration, where the operator did. */
export function configurationArguments(settings: Settings): readonly string[] {
  return settings.NGINX_CONF === undefined ? [] : ['-c', settings.NGINX_CONF]
}

export interface NginxFacts {
  readonly present: boolean
  /** As printed, such as `1.22.1`; null where it could not be read. */
  readonly versionText: string | null
  readonly version: Version
  readonly openssl: readonly [number, number]
  /** Whether NGINX can tell its connection counts. */
  readonly hasStubStatus: boolean
  /** Compiled-in places. */
  readonly confPath: string | undefined
  readonly pidPath: string | undefined
  readonly errorLogPath: string | undefined
  readonly prefix: string
}

/** The NGINX of this host: its configuration, and what its binary says of itself. */
export interface NginxInstance {
  readonly snapshot: { readonly host: Pick<HostConfiguration, 'pid' | 'errorLog'> }
  readonly facts: NginxFacts
}

type NginxHost = Pick<Host, 'files' | 'runner' | 'settings'>

/** The oldest NGINX that is supported: what an unknown one is taken for, since its configuration is read by every later one. */
const OLDEST: Version = [1, 18, 0]

/** Reads the facts, again only when the binary has changed. */
export function nginxFactsReader(host: NginxHost): () => Promise<NginxFacts> {
  let known: { readonly stamp: string; readonly facts: NginxFacts } | undefined
  const reading = singleFlight<NginxFacts>()
  return async () => {
    const stamp = host.files.stamp(host.settings.NGINX_BIN) ?? ''
    if (known !== undefined && known.stamp === stamp) return known.facts
    const facts = await reading.run(() => readFacts(host))
    if (facts.present) known = { stamp, facts }
    // A binary that cannot be run for a moment has not moved its configuration.
    return facts.present || known === undefined ? facts : { ...known.facts, present: false }
  }
}

async function readFacts({ runner, settings }: NginxHost): Promise<NginxFacts> {
  const { exitCode, output } = await runner.run(settings.NGINX_BIN, ['-V'], { timeoutMs: 15_000 })
  const version = /nginx version: \S*?\/(\d+)\.(\d+)\.(\d+)/.exec(output)
  const openssl = /running with OpenSSL (\d+)\.(\d+)/.exec(output) ?? /built with OpenSSL (\d+)\.(\d+)/.exec(output)
  const argument = (name: string) => new RegExp(`--${name}=(\\S+)`).exec(output)?.[1]
  const prefix = argument('prefix') ?? '/usr/local/nginx'
  const inPrefix = (path: string | undefined) =>
    path === undefined || path.startsWith('/') ? path : `${prefix}/${path}`
  return {
    present: exitCode === 0,
    versionText: version === null ? null : version.slice(1).join('.'),
    version: version === null ? OLDEST : [Number(version[1]), Number(version[2]), Number(version[3])],
    openssl: openssl === null ? [1, 1] : [Number(openssl[1]), Number(openssl[2])],
    hasStubStatus: output.includes('http_stub_status_module'),
    confPath: settings.NGINX_CONF ?? inPrefix(argument('conf-path')),
    pidPath: inPrefix(argument('pid-path')),
    errorLogPath: argument('error-log-path'),
    prefix,
  }
}
