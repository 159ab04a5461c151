/** systemd's unit files, as text (systemd.unit(5), systemd.exec(5)). */
import { posix } from 'node:path'
import { describeSettings, type Settings } from '../settings/settings.ts'
import { COMPILE_CACHE, NODE_FLAGS } from './node-flags.ts'

export interface UnitOptions {
  readonly settings: Settings
  /** The file whose settings both units read when they start, and which wins over what they have themselves. */
  readonly envFile: string
  /** The settings that were given otherwise; no secrets among them. */
  readonly given: readonly (readonly [name: string, value: string])[]
  /** The files that hold the tokens: variable -> path. */
  readonly tokenFiles: readonly (readonly [name: string, path: string])[]
  /** Node, and the program that it runs. */
  readonly program: readonly string[]
  /** NGINX's main configuration. */
  readonly nginxConf: string
}

/** The unit of the API. */
export function systemdUnit({ settings, envFile, given, tokenFiles, program, nginxConf }: UnitOptions): string {
  const [node = '', ...rest] = program
  const state = settings.PROXY_MANAGER_STATE_DIR
  const stateName = /^\/var\/lib\/(.+)$/.exec(state)?.[1]
  const writable = [
    settings.NGINX_SITES_AVAILABLE,
    settings.NGINX_SITES_ENABLED,
    posix.dirname(nginxConf),
    state,
    ...(settings.ACME_WEBROOT === undefined ? [] : [settings.ACME_WEBROOT]),
  ]
  // With "-" they may be missing: certbot need not be installed, and logs may be elsewhere.
  const optional = [
    settings.CERTBOT_CONFIG_DIR,
    settings.CERTBOT_WORK_DIR ?? '/var/lib/letsencrypt',
    settings.CERTBOT_LOGS_DIR ?? '/var/log/letsencrypt',
    '/var/log/nginx',
    '/var/lib/nginx',
  ]
  return `# Made by: proxy-manager systemd-unit
[Unit]
Description=Proxy Manager: an HTTP API for NGINX and certbot on this host
Wants=network-online.target
After=network-online.target nginx.service

[Service]
Type=exec
ExecStart=${commandLine(node, ...NODE_FLAGS, ...rest, 'serve')}
Environment=${quote(`NODE_COMPILE_CACHE=${state}/${COMPILE_CACHE}`)}
${environment(given, envFile)}${credentials(tokenFiles)}Restart=on-failure
RestartSec=2
# A wrong setting is not mended by another start.
RestartPreventExitStatus=78
# Calls in flight have 20 s to end. A certbot that is at work ends by itself: the next start brings in what it got.
TimeoutStopSec=40
KillMode=process

# NGINX's master and certbot are root's: signalling the one and running the other takes root, with everything else taken away.
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_KILL CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
ProtectSystem=strict
${stateName === undefined ? '' : `StateDirectory=${quote(stateName)}\nStateDirectoryMode=0711\n`}# The folders of the settings as they were when this was made; nginx -t opens NGINX's logs.
${writablePaths(writable, optional)}
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
`
}

/** The drop-in for NGINX's own unit. */
export function nginxDropIn({ settings, envFile, given, program }: UnitOptions): string {
  const nginx = [
    settings.NGINX_BIN,
    '-t',
    '-q',
    ...(settings.NGINX_CONF === undefined ? [] : ['-c', settings.NGINX_CONF]),
  ]
  return `# Made by: proxy-manager systemd-unit --nginx
# Recovery comes before NGINX's own test, which a change that was cut short would fail; so the list of commands is begun anew.
# With "-" NGINX is started whatever recovery could do.
[Service]
${environment(
  given.filter(([name]) => !CALLERS.includes(name)),
  envFile,
)}# Where the API listens is no matter of recovery's, and beyond loopback that takes a token, which is no business of NGINX's.
UnsetEnvironment=${CALLERS.join(' ')}
ExecStartPre=
ExecStartPre=-${commandLine(...program, 'recover')}
ExecStartPre=${commandLine(...nginx)} -g 'daemon on; master_process on;'
`
}

/** What recovery can do without. */
const CALLERS = [
  'PROXY_MANAGER_HOST',
  ...describeSettings().flatMap(({ name }) => (name.endsWith('_TOKEN') ? [name, `${name}_FILE`] : [])),
]

function environment(given: UnitOptions['given'], envFile: string): string {
  const own = given.map(([name, value]) => `Environment=${quote(`${name}=${value}`)}\n`).join('')
  return `${own}EnvironmentFile=-${envFile.replaceAll('%', '%%')}\n`
}

/** Tokens come as credentials (systemd.exec(5)): the files may be root's alone, and no token stands in an environment. */
function credentials(tokenFiles: UnitOptions['tokenFiles']): string {
  const lines = (name: string, path: string) => [
    `LoadCredential=${quote(`${name}:${path}`)}`,
    `Environment=${name}_FILE=%d/${name}`,
  ]
  if (tokenFiles.length > 0) return `${tokenFiles.flatMap((file) => lines(...file)).join('\n')}\n`
  const example = lines('PROXY_MANAGER_API_TOKEN', '/etc/proxy-manager/api-token').map((line) => `#${line}`)
  return ['# To want a token, which a file has that only root can read:', ...example, ''].join('\n')
}

/** One line for each. */
function writablePaths(required: readonly string[], optional: readonly string[]): string {
  const paths = [...required, ...optional.filter((path) => !required.includes(path)).map((path) => `-${path}`)]
  return [...new Set(paths)].map((path) => `ReadWritePaths=${quote(path)}`).join('\n')
}

/** In a command, "$" begins a variable. */
function commandLine(...words: readonly string[]): string {
  return words.map((word) => quote(word).replaceAll('$', '$$$$')).join(' ')
}

/** A word as systemd.syntax(7) has it: "%" begins a specifier, quotes and backslashes are escaped. */
function quote(word: string): string {
  const escaped = word.replaceAll('%', '%%')
  return /^[\w@%+=:,./-]+$/.test(escaped) ? escaped : `"${escaped.replace(/[\\"]/g, '\\$&')}"`
}
