/** Facts about the NGINX binary: `nginx -V`, run once for each binary found at the path. */
import type { Host } from '../host/host.ts'
import { singleFlight } from '../host/single-flight.ts'
import type { Settings } from '../settings/settings.ts'
import type { HostConfiguration } from './config/host-config.ts'
import type { Version } from './config/version.ts'
import type { ListensOf } from './endpoints.ts'

/** The arguments that name the main configuration, if NGINX_CONF is set. */
export function configurationArguments(settings: Pick<Settings, 'NGINX_CONF'>): readonly string[] {
  return settings.NGINX_CONF === undefined ? [] : ['-c', settings.NGINX_CONF]
}

export interface NginxFacts {
  /** The binary could be run just now; if not, the other facts are those of the last run. */
  readonly present: boolean
  /** As printed, such as `1.22.1`; null if it could not be read. */
  readonly versionText: string | null
  readonly version: Version
  readonly openssl: readonly [number, number]
  /** Whether NGINX was built with ngx_http_stub_status_module. */
  readonly hasStubStatus: boolean
  /** Compiled-in paths. */
  readonly confPath: string | undefined
  readonly pidPath: string | undefined
  readonly errorLogPath: string | undefined
  readonly prefix: string
}

/** The NGINX of this host: its configuration and the facts about its binary. */
export interface NginxInstance {
  readonly snapshot: {
    readonly host: Pick<HostConfiguration, 'pid' | 'errorLogs'>
    readonly context: ListensOf
  }
  readonly facts: NginxFacts
}

type NginxHost = Pick<Host, 'files' | 'runner' | 'settings'>

/** The oldest supported NGINX, assumed if the version is unknown: every later one accepts its configuration. */
const OLDEST: Version = [1, 18, 0]

/** Makes a reader of the facts, which runs the binary again only if the file has changed. */
export function nginxFactsReader(host: NginxHost): () => Promise<NginxFacts> {
  let known: { readonly stamp: string; readonly facts: NginxFacts } | undefined
  const reading = singleFlight<NginxFacts>()
  return async () => {
    const stamp = host.files.stamp(host.settings.NGINX_BIN) ?? ''
    if (known !== undefined && known.stamp === stamp) return known.facts
    const facts = await reading.run(() => readFacts(host))
    if (facts.present) known = { stamp, facts }
    // A binary that cannot be run for a moment still has the same compiled-in paths.
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
