/** TLS versions, ciphers and sessions. */
import type { Directive } from '../nginx/config/print.ts'
import { isAtLeast } from '../nginx/config/version.ts'

/**
 * Mozilla's intermediate profile (Server Side TLS guidelines 6.0, 2026): TLS 1.2 and 1.3, only ECDHE with AEAD ciphers, the client's choice
 * of cipher, no session tickets. The hybrid post-quantum group needs OpenSSL 3.5.
 */
export function tlsProfile(opensslVersion: readonly [number, number]): Directive[] {
  const groups = ['X25519', 'prime256v1', 'secp384r1']
  if (isAtLeast(opensslVersion, [3, 5])) groups.unshift('X25519MLKEM768')
  return [
    ['ssl_protocols', ['TLSv1.2', 'TLSv1.3']],
    ['ssl_ciphers', [TLS12_CIPHERS.join(':')]],
    ['ssl_ecdh_curve', [groups.join(':')]],
    ['ssl_prefer_server_ciphers', ['off']],
    ['ssl_session_timeout', ['1d']],
    ['ssl_session_cache', ['shared:proxy_manager:10m']],
    ['ssl_session_tickets', ['off']],
  ]
}

const TLS12_CIPHERS = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
]
