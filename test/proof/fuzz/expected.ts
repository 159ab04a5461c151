/**
 * The directives of a route, written independently from the body that was accepted: nothing of the renderer is used, so that
 * both cannot have the same fault.
 */
import { readFileSync } from 'node:fs'
import { isIPv4, isIPv6 } from 'node:net'
import { domainToASCII } from 'node:url'
import * as v from 'valibot'
import type { Tree } from '../../helpers/ngx-conf-parse.ts'

const Options = v.object({
  upstream_scheme: v.optional(v.string(), 'http'),
  max_body_size: v.optional(v.string(), '64m'),
  connect_timeout_s: v.optional(v.number(), 5),
  read_timeout_s: v.optional(v.number(), 300),
  websocket: v.optional(v.boolean(), true),
  buffering: v.optional(v.boolean(), false),
  hsts: v.optional(v.boolean(), false),
  allow: v.optional(v.array(v.string()), []),
  aliases: v.optional(v.array(v.string()), []),
  redirect_to: v.optional(v.nullable(v.string()), null),
  maintenance: v.optional(v.boolean(), false),
  header_buffer_size: v.optional(v.string(), '16k'),
  upstream_keepalive_s: v.optional(v.number(), 4),
})
export const AcceptedBody = v.object({
  domain: v.string(),
  upstream_host: v.optional(v.string(), 'localhost'),
  upstream_port: v.optional(v.number()),
  upstream: v.optional(v.string()),
  options: v.optional(Options, {}),
})
export type AcceptedBody = v.InferOutput<typeof AcceptedBody>

export interface Meant {
  readonly droplet: string
  readonly body: AcceptedBody
  readonly httpPort: number
  readonly httpsPort: number
  readonly webroot: string
  readonly certificates: string
  /** The fingerprint of its domain's certificate. */
  readonly fingerprint: string | undefined
}

const IPV6 = readFileSync('/proc/net/if_inet6', 'utf8') !== ''
const line = (text: string): Tree => [text.split(' '), null]
const STRICT_TRANSPORT = line('add_header Strict-Transport-Security max-age=63072000 always')

/** The directives of a route's file. */
export function meantDirectives(meant: Meant): Tree[] {
  const { body, droplet, httpPort, httpsPort, fingerprint } = meant
  const { options } = body
  const { host, port, scheme } = upstreamOf(body)
  const domain = domainOf(body.domain)
  const names = [domain, ...[...new Set(options.aliases.map(domainOf))].sort()]
  const challenge: Tree = [
    ['location', '^~', '/.well-known/acme-challenge/'],
    [
      line(`root ${meant.webroot}`),
      line('default_type text/plain'),
      line('auth_basic off'),
      line('allow all'),
      line('try_files $uri =404'),
    ],
  ]
  const redirect = (to: string): Tree => [
    ['location', '/'],
    [['return', '308', `${to}$request_uri`]].map((words): Tree => [words, null]),
  ]
  const upstream = `fpai_${droplet}`
  const isPassedOn = options.redirect_to === null
  const target = options.redirect_to === null ? '' : domainOf(options.redirect_to)
  const main = (protocol: 'http' | 'https'): Tree => {
    const at = protocol === 'http' ? httpPort : httpsPort
    if (options.maintenance)
      return [
        ['location', '/'],
        [
          ...(options.hsts && protocol === 'https' ? [STRICT_TRANSPORT] : []),
          line('add_header Retry-After 120 always'),
          line('default_type text/plain'),
          [['return', '503', 'This service is being redeployed.'], null],
        ],
      ]
    if (!isPassedOn) return redirect(`${protocol}://${target}:${at}`)
    const buffer = Number.parseInt(options.header_buffer_size, 10)
    const tls = [line('proxy_ssl_server_name on'), line(`proxy_ssl_name ${domain}`)]
    return [
      ['location', '/'],
      [
        ...options.allow.map((network) => line(`allow ${network}`)),
        ...(options.allow.length > 0 ? [line('deny all')] : []),
        line(`proxy_pass ${scheme}://${upstream}`),
        ...(scheme === 'https' ? tls : []),
        line('proxy_http_version 1.1'),
        line(`proxy_set_header Host $host:${at}`),
        line('proxy_set_header X-Real-IP $remote_addr'),
        line('proxy_set_header X-Forwarded-For $remote_addr'),
        line('proxy_set_header X-Forwarded-Proto $scheme'),
        line(`proxy_set_header X-Forwarded-Host $host:${at}`),
        line(`proxy_set_header X-Forwarded-Port ${at}`),
        line('proxy_set_header Forwarded '),
        line('proxy_set_header Proxy '),
        line(`proxy_set_header Upgrade ${options.websocket ? '$proxy_manager_upgrade' : ''}`),
        line(`proxy_set_header Connection ${options.websocket ? '$proxy_manager_connection' : ''}`),
        line('proxy_redirect off'),
        line(`proxy_buffering ${options.buffering ? 'on' : 'off'}`),
        line(`proxy_buffer_size ${buffer}k`),
        line(`proxy_buffers 8 ${buffer}k`),
        line(`proxy_busy_buffers_size ${2 * buffer}k`),
        line(`proxy_temp_file_write_size ${2 * buffer}k`),
        line(`proxy_connect_timeout ${options.connect_timeout_s}s`),
        line('proxy_send_timeout 60s'),
        line(`proxy_read_timeout ${options.read_timeout_s}s`),
        line('proxy_next_upstream error'),
        line(`client_max_body_size ${options.max_body_size}`),
      ],
    ]
  }
  const listens = (at: number, flags: string) => [
    line(`listen ${at}${flags}`),
    ...(IPV6 ? [line(`listen [::]:${at}${flags}`)] : []),
  ]
  const plain = (served: readonly string[], location: Tree): Tree => [
    ['server'],
    [...listens(httpPort, ''), line(`server_name ${served.join(' ')}`), challenge, location],
  ]
  const addresses = host === 'localhost' ? ['127.0.0.1', ...(IPV6 ? ['::1'] : [])] : [host]
  const block: Tree = [
    ['upstream', upstream],
    [
      ...addresses.map((address, i) => {
        const literal = isIPv6(address) ? `[${address}]` : address
        const more = addresses.length === 1 ? '' : i === 0 ? ' max_fails=0' : ' max_fails=0 backup'
        return line(`server ${literal}:${port}${more}`)
      }),
      ...(options.upstream_keepalive_s === 0
        ? []
        : [line('keepalive 64'), line(`keepalive_timeout ${options.upstream_keepalive_s}s`)]),
    ],
  ]
  const blocks = isPassedOn ? [block] : []
  if (fingerprint === undefined) return [...blocks, plain(names, main('http'))]
  const [, ...others] = names
  const secured = isPassedOn || options.maintenance ? domain : target
  const folder = `${meant.certificates}/${domain}/${fingerprint}`
  return [
    ...blocks,
    plain([domain], redirect(`https://${secured}:${httpsPort}`)),
    ...(others.length > 0 ? [plain(others, main('http'))] : []),
    [
      ['server'],
      [
        ...listens(httpsPort, ' ssl'),
        line(`server_name ${domain}`),
        line(`ssl_certificate ${folder}/fullchain.pem`),
        line(`ssl_certificate_key ${folder}/privkey.pem`),
        ...TLS_PROFILE.map(line),
        ...(options.hsts ? [STRICT_TRANSPORT] : []),
        challenge,
        main('https'),
      ],
    ],
  ]
}

/** Their values depend on NGINX's and OpenSSL's versions, and on nothing from a caller. */
const TLS_PROFILE = [
  'ssl_protocols',
  'ssl_ciphers',
  'ssl_ecdh_curve',
  'ssl_prefer_server_ciphers',
  'ssl_session_timeout',
  'ssl_session_cache',
  'ssl_session_tickets',
]

/** A tree that was read, without what depends on NGINX's version. */
export function withoutVersions(trees: readonly Tree[]): Tree[] {
  return trees.flatMap(([words, block]): Tree[] => {
    const [name = ''] = words
    if (name === 'http2') return []
    if (TLS_PROFILE.includes(name)) return [[[name], null]]
    const kept = name === 'listen' ? words.filter((word) => word !== 'http2') : words
    return [[kept, block === null ? null : withoutVersions(block)]]
  })
}

export function domainOf(spelled: string): string {
  return domainToASCII(spelled.replace(/\.$/, '')).toLowerCase()
}

function upstreamOf({ upstream, upstream_host, upstream_port, options }: AcceptedBody) {
  const match = /^(https?):\/\/(.*):(\d+)\/?$/.exec(upstream ?? '')
  const spelled = (match?.[2] ?? upstream_host)
    .toLowerCase()
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
  const host = isIPv6(spelled) ? new URL(`http://[${spelled}]`).hostname.slice(1, -1) : spelled
  if (host !== 'localhost' && !isIPv4(host) && !isIPv6(host) && options.redirect_to === null)
    throw new Error(`an upstream whose addresses are not known here: ${host}`)
  const scheme = match?.[1] === 'https' ? 'https' : options.upstream_scheme
  return { host, port: match === null ? upstream_port : Number(match[3]), scheme }
}
