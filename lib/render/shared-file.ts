/** The one file for all routes: their common directives, the generation's server block, and the catch-all. */

import * as v from 'valibot'
import { type Directive, printNginx } from '../nginx/config/print.ts'
import { isAtLeast } from '../nginx/config/version.ts'
import { GENERATION_NAME, STATUS_PATH } from '../nginx/generation.ts'
import { dropletOfFileName } from '../route/droplet-name.ts'
import { readHeader, withHeader } from '../route/file-envelope.ts'
import { readRouteFile } from '../route/stored-route.ts'
import {
  AUTH_BASIC_OFF,
  hasModule,
  http2,
  httpListens,
  httpsListens,
  type RenderContext,
  resolverDirectives,
  server,
} from './context.ts'
import { forwardedVariables } from './forwarded.ts'
import { tlsProfile } from './tls-profile.ts'

/** The facts that the shared file depends on beyond {@link RenderContext}. */
export interface SharedContext {
  readonly generation: number
  /** Listen addresses without a default server of the host: the catch-all becomes theirs. */
  readonly catchAllHttp: readonly string[]
  readonly catchAllHttps: readonly string[]
  /** Whether a route's upstream is a name that NGINX resolves at run time. */
  readonly hasNamedUpstream: boolean
}

/** The catch-all's server name, so that it never conflicts with a `_` of the host. */
const CATCH_ALL_NAME = 'catch-all.proxy-manager.invalid'

const STATUS_LOCATION: Directive = ['location', ['=', STATUS_PATH], [['stub_status', []]]]

/** The shared file: common directives, the generation's server block, and the catch-all for unknown names. */
export function sharedDirectives(shared: SharedContext, context: RenderContext): Directive[] {
  const settings: Directive[] = [
    // With the default of 64, a name of 47 characters fails `nginx -t`, for every site on the host.
    ['server_names_hash_bucket_size', ['512']],
    ['server_names_hash_max_size', ['8192']],
    // Old workers close idle connections only after this time, so that a request sent during a reload is not lost (NGINX 1.27.4).
    ...(isAtLeast(context.nginxVersion, [1, 27, 4]) ? ([['keepalive_min_timeout', ['5s']]] as const) : []),
  ]
  return [
    ...settings.filter(([name]) => !context.setByHost.has(name)),
    ...(shared.hasNamedUpstream ? resolverDirectives(context) : []),
    // Only a WebSocket may change the protocol: after `Upgrade: h2c` a client would speak past NGINX, and make up the headers it sets.
    [
      'map',
      [{ variable: 'http_upgrade' }, { variable: 'proxy_manager_upgrade' }],
      [
        ['default', ['']],
        ['websocket', ['websocket']],
      ],
    ],
    [
      'map',
      [{ variable: 'proxy_manager_upgrade' }, { variable: 'proxy_manager_connection' }],
      [
        ['default', ['']],
        ['websocket', ['upgrade']],
      ],
    ],
    ...forwardedVariables(context),
    generationServer(shared, context),
    ...(shared.catchAllHttp.length === 0 ? [] : [catchAllHttp(shared.catchAllHttp)]),
    ...(shared.catchAllHttps.length === 0 || !isAtLeast(context.nginxVersion, [1, 19, 4])
      ? []
      : [catchAllHttps(shared.catchAllHttps, context)]),
  ]
}

function generationServer({ generation }: SharedContext, context: RenderContext): Directive {
  return server(
    httpListens(context.httpListens),
    [GENERATION_NAME],
    [
      ['access_log', ['off']],
      // The version in the Server header is how Proxy Manager knows which NGINX runs, if it may not read the master's binary.
      ['server_tokens', ['on']],
      ['default_type', ['text/plain']],
      ...onlyLoopback(context),
      // `return` alone would be evaluated before `allow` and `deny`; there is no such file.
      ['location', ['/'], [['try_files', ['/nonexistent', '@generation']]]],
      ['location', ['@generation'], [['return', ['200', String(generation)]]]],
      ['location', ['@drop'], [['return', ['444']]]],
      ...(hasModule(context, 'stub_status') ? [STATUS_LOCATION] : []),
    ],
  )
}

/**
 * Everybody but the probe, which connects from these addresses, has its connection closed; nothing that the host's `http` block sets for all of its
 * server blocks may do so to the probe. An NGINX without the access module cannot tell the two apart.
 */
function onlyLoopback(context: RenderContext): Directive[] {
  const denied: Directive[] = [
    ['allow', ['127.0.0.0/8']],
    ['allow', ['::1']],
    ['deny', ['all']],
    ['error_page', ['403', '=', '@drop']],
  ]
  return [
    ...(hasModule(context, 'access') ? denied : []),
    ...(hasModule(context, 'auth_basic') ? [AUTH_BASIC_OFF] : []),
    ...INHERITED.flatMap(([set, off]) => (context.setByHost.has(set) ? [off] : [])),
  ]
}

/** Directives that a host can set for all of its server blocks, each with what turns it off in one of them. */
const INHERITED: readonly (readonly [name: string, off: Directive])[] = [
  ['auth_request', ['auth_request', ['off']]],
  ['limit_req', ['limit_req_dry_run', ['on']]],
  ['limit_conn', ['limit_conn_dry_run', ['on']]],
]

function catchAllHttp(addresses: readonly string[]): Directive {
  return server(
    httpListens(addresses, ['default_server']),
    [CATCH_ALL_NAME],
    [
      ['access_log', ['off']],
      ['return', ['444']],
    ],
  )
}

/** Rejects the handshake for unknown names, so that NGINX does not present another site's certificate (NGINX 1.19.4). */
function catchAllHttps(addresses: readonly string[], context: RenderContext): Directive {
  // The default server's protocols apply to its whole listening socket: they must be those of the routes.
  return server(
    httpsListens(context, addresses, ['default_server']),
    [CATCH_ALL_NAME],
    [
      ...http2(context),
      ['access_log', ['off']],
      ['ssl_reject_handshake', ['on']],
      ...tlsProfile(context.opensslVersion),
    ],
  )
}

/** The whole text of the shared file; its record is the generation. */
export function renderSharedFile(shared: SharedContext, context: RenderContext): string {
  return withHeader(JSON.stringify({ generation: shared.generation }), printNginx(sharedDirectives(shared, context)))
}

/** The generation of a shared file, and whether the file is as written; `undefined` if it cannot be parsed. */
export function readSharedFile(text: string): { readonly generation: number; readonly intact: boolean } | undefined {
  const header = readHeader(text)
  const record = v.safeParse(v.object({ generation: v.pipe(v.number(), v.integer()) }), header?.record)
  return header !== undefined && record.success
    ? { generation: record.output.generation, intact: header.intact }
    : undefined
}

/** Whether the text of one of our files is exactly as written. */
export function isIntact(fileName: string, text: string): boolean {
  const dropletName = dropletOfFileName(fileName)
  return dropletName === undefined
    ? readSharedFile(text)?.intact === true
    : readRouteFile(dropletName, text)?.drifted === false
}

/** The same shared file with another generation, to distinguish a restored configuration; unchanged if it cannot be parsed. */
export function renumberSharedFile(text: string, generation: number): string {
  const [found, header] = [readSharedFile(text), readHeader(text)]
  if (found === undefined || header === undefined) return text
  const renumbered = header.configuration.replace(`return 200 ${found.generation};`, `return 200 ${generation};`)
  return withHeader(JSON.stringify({ generation }), renumbered)
}
