/** What `nginx -V` prints: version, modules and compiled-in paths. */
import { isAtLeast, type Version } from './version.ts'

/** The modules that rendered directives need; `ngx_http_<name>_module`. */
export type ModuleName = keyof typeof MODULES

export interface NginxBuild {
  /** Angie is a fork with another process title, and is not supported. */
  readonly isAngie: boolean
  /** As printed, such as `1.22.1`; null if it could not be read. */
  readonly versionText: string | null
  readonly version: Version
  readonly openssl: readonly [number, number]
  readonly missingModules: readonly ModuleName[]
  /** Modules that are loaded only if the configuration has a `load_module` for them. */
  readonly dynamicModules: readonly ModuleName[]
  /** Compiled-in paths, absolute; `undefined` if the output has no configure arguments. */
  readonly confPath: string | undefined
  readonly pidPath: string | undefined
  readonly errorLogPath: string | undefined
  readonly prefix: string
}

/** The oldest supported NGINX, assumed if the version is unknown: every later one accepts its configuration. */
export const OLDEST: Version = [1, 18, 0]

/** Whether NGINX has each module unless it is configured otherwise (`./configure --help`). */
const MODULES = {
  access: true,
  auth_basic: true,
  geo: true,
  map: true,
  proxy: true,
  realip: false,
  rewrite: true,
  ssl: false,
  stub_status: false,
  upstream_keepalive: true,
  upstream_least_conn: true,
  upstream_zone: true,
  v2: false,
} as const

export const MODULE_NAMES: readonly ModuleName[] = Object.keys(MODULES).filter(isModuleName)

/** Parses the output of `nginx -V`. Without configure arguments nothing but the optional stub_status counts as missing. */
export function parseBuild(output: string): NginxBuild {
  const version = /nginx version: \S*?\/(\d+)\.(\d+)\.(\d+)/.exec(output)
  const openssl = /running with OpenSSL (\d+)\.(\d+)/.exec(output) ?? /built with OpenSSL (\d+)\.(\d+)/.exec(output)
  const options = /^configure arguments:(.*)$/m.exec(output)?.[1]
  const argument = (name: string) => {
    const found = new RegExp(`\\s--${name}=(?:'([^']*)'|(\\S+))`).exec(options ?? '')
    return found?.[1] ?? found?.[2]
  }
  const prefix = (argument('prefix') ?? '/usr/local/nginx').replace(/(?<=.)\/+$/, '')
  // Without the argument NGINX is built with these defaults (auto/options and auto/init of its source).
  const path = (name: string, fallback: string) => {
    const chosen = argument(name) ?? fallback
    return options === undefined ? undefined : /^(\/|stderr$|syslog:)/.test(chosen) ? chosen : `${prefix}/${chosen}`
  }
  const has = (name: string) => new RegExp(`\\s--${name}(?=\\s|$)`).test(options ?? '')
  const isMissing = (name: ModuleName) =>
    has('without-http') ||
    has(MODULES[name] ? `without-http_${name}_module` : `with-http_${name}_module`) === MODULES[name]
  const dynamicModules = MODULE_NAMES.filter((name) => has(`with-http_${name}_module=dynamic`))
  return {
    isAngie: /^Angie version: /m.test(output),
    versionText: version === null ? null : version.slice(1).join('.'),
    version: version === null ? OLDEST : [Number(version[1]), Number(version[2]), Number(version[3])],
    openssl: openssl === null ? [1, 1] : [Number(openssl[1]), Number(openssl[2])],
    missingModules:
      options === undefined
        ? ['stub_status']
        : MODULE_NAMES.filter((name) => isMissing(name) && !dynamicModules.includes(name)),
    dynamicModules,
    confPath: path('conf-path', 'conf/nginx.conf'),
    pidPath: path('pid-path', 'logs/nginx.pid'),
    errorLogPath: path('error-log-path', 'logs/error.log'),
    prefix,
  }
}

function isModuleName(name: string): name is ModuleName {
  return name in MODULES
}

/** What two builds have in common, for a configuration that both accept; paths and version text are those of the first. */
export function commonBuild(a: NginxBuild, b: NginxBuild): NginxBuild {
  return {
    ...a,
    version: isAtLeast(a.version, b.version) ? b.version : a.version,
    openssl: isAtLeast(a.openssl, b.openssl) ? b.openssl : a.openssl,
    missingModules: [...new Set([...a.missingModules, ...b.missingModules])],
    dynamicModules: [...new Set([...a.dynamicModules, ...b.dynamicModules])],
  }
}

/** The modules that this NGINX cannot use: not built in, and not loaded (`loaded` are the names that `load_module` has). */
export function unusableModules(build: NginxBuild, loaded: ReadonlySet<string>): readonly ModuleName[] {
  return [...build.missingModules, ...build.dynamicModules.filter((name) => !loaded.has(`ngx_http_${name}_module`))]
}
