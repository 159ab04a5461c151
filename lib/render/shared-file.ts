/** The one file for all routes: their common directives, the generation's server block, and the catch-all. */

import * as v from 'valibot'
import { type Directive, printNginx } from '../nginx/config/print.ts'
import { isAtLeast } from '../nginx/config/version.ts'
import { GENERATION_NAME, STATUS_PATH } from '../nginx/generation.ts'
import { readHeader, withHeader } from '../route/file-envelope.ts'
import { dropletOfFileName } from '../route/file-names.ts'
import { readRouteFile } from '../route/stored-route.ts'
import {
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
    // A map rather than a geo, which Debian 11's nginx-light lacks. On a dual-stack socket an IPv4 address has a prefix. The probe connects from
    // these addresses.
    [
      'map',
      [{ variable: 'remote_addr' }, { variable: 'proxy_manager_is_loopback' }],
      [
        ['default', ['0']],
        ['127.0.0.1', ['1']],
        ['::ffff:127.0.0.1', ['1']],
        ['::1', ['1']],
      ],
    ],
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
      // `return` is evaluated before `allow` and `deny`, so the address is checked here.
      ['if', ['(', { variable: 'proxy_manager_is_loopback' }, '=', '0', ')'], [['return', ['444']]]],
      ['location', ['/'], [['return', ['200', String(generation)]]]],
      ...(hasModule(context, 'stub_status') ? [STATUS_LOCATION] : []),
    ],
  )
}

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
