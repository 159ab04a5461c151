/** What an upstream is sent about the client. What a client claims itself is replaced; what a trusted proxy says is passed on. */
import type { Argument, Directive } from '../nginx/config/print.ts'
import { hasModule, type RenderContext } from './context.ts'

/** The headers of a location on this public port; `host` is the name with the port, unless that is the standard one. */
export function forwardedHeaders(context: RenderContext, port: number, host: Argument): Directive[] {
  const isTrusting = context.trustedProxies.length > 0
  const header = (name: string, ours: Argument): Directive => {
    const passed = { variable: `proxy_manager_forwarded_${name.toLowerCase()}` }
    return ['proxy_set_header', [`X-Forwarded-${name}`, isTrusting ? passed : ours]]
  }
  return [
    // Behind another proxy, NGINX's realip module sets $remote_addr to the client's address.
    ['proxy_set_header', ['X-Real-IP', { variable: 'remote_addr' }]],
    header('For', { variable: 'remote_addr' }),
    header('Proto', { variable: 'scheme' }),
    header('Host', host),
    header('Port', String(port)),
    ['proxy_set_header', ['Forwarded', '']],
    ...(hasUnderscores(context) ? REPLACED.flatMap(lookAlikes) : []),
  ]
}

/** The part of the path that the upstream is not sent; none if empty. A client's own would become part of the links in answers. */
export function forwardedPrefix(prefix: string, context: RenderContext): Directive[] {
  const header: Directive = ['proxy_set_header', ['X-Forwarded-Prefix', prefix]]
  return [header, ...(hasUnderscores(context) ? lookAlikes('X-Forwarded-Prefix') : [])]
}

function hasUnderscores({ setByHost }: RenderContext): boolean {
  return setByHost.get('underscores_in_headers')?.[0] === 'on'
}

/** An upstream in the manner of CGI takes them for ours (RFC 3875, 4.1.18); NGINX drops them unless its host wants underscores. */
function lookAlikes(name: string): Directive[] {
  const [first, second, third] = name.split('-')
  return ['_-', '-_', '__'].map(
    ([one, two]): Directive => ['proxy_set_header', [`${first}${one}${second}${two}${third}`, '']],
  )
}

const REPLACED = ['X-Real-IP', 'X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'X-Forwarded-Port']

/**
 * The variables of {@link forwardedHeaders}, for the shared file: of each header first what a trusted peer has sent, then that or ours. Without its
 * port, the scheme that such a peer names has its standard one: ours is between the two proxies.
 */
export function forwardedVariables(context: RenderContext): Directive[] {
  const { trustedProxies, publicHttpPort, publicHttpsPort } = context
  if (trustedProxies.length === 0) return []
  const name = { variable: 'host' }
  const at = (port: number, standard: number): Argument => (port === standard ? name : [name, `:${port}`])
  const sent = (header: string): Directive =>
    map(variable('trusts'), `sent_${header}`, '', [['1', [{ variable: `http_x_forwarded_${header}` }]]])
  const passed = (header: string, otherwise: Argument): Directive =>
    map(variable(`sent_${header}`), `forwarded_${header}`, variable(`sent_${header}`), [['', [otherwise]]])
  return [
    trusts(context),
    map({ variable: 'scheme' }, 'port', String(publicHttpPort), [['https', [String(publicHttpsPort)]]]),
    map({ variable: 'scheme' }, 'host', at(publicHttpPort, 80), [['https', [at(publicHttpsPort, 443)]]]),
    ...['for', 'proto', 'host', 'port'].map(sent),
    map(variable('sent_proto'), 'client_port', variable('port'), [
      ['https', ['443']],
      ['http', ['80']],
    ]),
    map(variable('sent_proto'), 'client_host', variable('host'), [
      ['https', [name]],
      ['http', [name]],
    ]),
    passed('for', { variable: 'remote_addr' }),
    passed('proto', { variable: 'scheme' }),
    passed('host', variable('client_host')),
    passed('port', variable('client_port')),
  ]
}

/** Why these proxies cannot all be trusted: only the geo module compares an address with a network. `undefined` if they can. */
export function untestableNetworks(
  proxies: RenderContext['trustedProxies'],
  build: Pick<RenderContext, 'missingModules'>,
): string | undefined {
  const networks = hasModule(build, 'geo') ? [] : proxies.filter((one) => one.includes('/'))
  if (networks.length === 0) return undefined
  return `TRUSTED_PROXIES: expected addresses only, since this NGINX was built without ngx_http_geo_module, got ${networks.join(', ')}`
}

function variable(name: string): { readonly variable: string } {
  return { variable: `proxy_manager_${name}` }
}

function map(key: Argument, name: string, otherwise: Argument, cases: readonly Directive[]): Directive {
  return ['map', [key, variable(name)], [['default', [otherwise]], ...cases]]
}

/** Whether the peer of the connection is trusted, 1 or 0. With the realip module, $remote_addr may be what that peer says. */
function trusts(context: RenderContext): Directive {
  const peer = { variable: hasModule(context, 'realip') ? 'realip_remote_addr' : 'remote_addr' }
  const { trustedProxies } = context
  if (hasModule(context, 'geo'))
    return [
      'geo',
      [peer, variable('trusts')],
      [['default', ['0']], ...trustedProxies.map((one): Directive => [one, ['1']])],
    ]
  // On a dual-stack socket an IPv4 address has a prefix, which geo knows.
  const addresses = trustedProxies.filter((one) => !one.includes('/'))
  const spellings = addresses.flatMap((one) => (one.includes(':') ? [one] : [one, `::ffff:${one}`]))
  return map(
    peer,
    'trusts',
    '0',
    spellings.map((one): Directive => [one, ['1']]),
  )
}
