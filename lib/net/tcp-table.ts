/** The kernel's table of TCP sockets: proc_net_tcp(5), and the same for IPv6. */

export interface TcpSocket {
  /** Dotted, or IPv6 in full: `0.0.0.0` and eight zeros are the wildcards. */
  readonly localAddress: string
  readonly localPort: number
  readonly remoteAddress: string
  readonly remotePort: number
  readonly isListening: boolean
  /** The user that has opened it. */
  readonly uid: number
  /** `0` if no process has it any more. */
  readonly inode: string
}

const LISTENING = '0A'
const TIME_WAIT = '06'

/**
 * Reads one table: `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode`. Closed connections that the kernel
 * keeps for a minute (TIME_WAIT) are left out: a busy host has tens of thousands, so they are not even parsed.
 */
export function readTcpTable(table: string): TcpSocket[] {
  return table.split('\n').flatMap((line) => {
    const first = line.indexOf(': ') + 2
    const second = line.indexOf(' ', first) + 1
    const state = line.slice(2 * second - first, 2 * second - first + 2)
    if (first < 2 || state === TIME_WAIT) return []
    const [local = '', remote = '', , , , , uid, , inode = ''] = line.slice(first).split(/ +/)
    const [localAddress, localPort] = readEndpoint(local)
    const [remoteAddress, remotePort] = readEndpoint(remote)
    const isListening = state === LISTENING
    return [{ localAddress, localPort, remoteAddress, remotePort, isListening, uid: Number(uid), inode }]
  })
}

/** The address is 32-bit words in the host's byte order (little-endian). */
function readEndpoint(text: string): readonly [address: string, port: number] {
  const [words = '', port = ''] = text.split(':')
  const bytes = (words.match(/.{8}/g) ?? []).flatMap((word) => word.match(/../g)?.reverse() ?? [])
  const address =
    bytes.length === 4
      ? bytes.map((byte) => Number.parseInt(byte, 16)).join('.')
      : (bytes.join('').match(/.{4}/g) ?? []).join(':')
  return [address, Number.parseInt(port, 16)]
}
