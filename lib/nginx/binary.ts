/** Facts about the NGINX binary: `nginx -V`, run once for each binary found at the path. */
import type { Host } from '../host/host.ts'
import { singleFlight } from '../host/single-flight.ts'
import type { Settings } from '../settings/settings.ts'
import { type NginxBuild, parseBuild } from './config/build.ts'
import type { HostConfiguration } from './config/host-config.ts'
import type { ListensOf } from './endpoints.ts'

/** The arguments that name the main configuration, if NGINX_CONF is set. */
export function configurationArguments(settings: Pick<Settings, 'NGINX_CONF'>): readonly string[] {
  return settings.NGINX_CONF === undefined ? [] : ['-c', settings.NGINX_CONF]
}

/** Its processes have other titles, so that a reload cannot be watched. */
export const ANGIE_UNSUPPORTED = 'Angie is not supported: use NGINX'

export interface NginxFacts extends NginxBuild {
  /** The binary could be run just now; if not, the other facts are those of the last run. */
  readonly present: boolean
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
  const build = parseBuild(output)
  return { ...build, present: exitCode === 0, confPath: settings.NGINX_CONF ?? build.confPath }
}
