/**
 * The only file that relies on how node:http's client reads a socket, which its documentation does not promise: by `data` events, in the order of
 * their listeners, parsing the very buffer that they get. Tried with Node 22.18, 24.21 and 26.12; test/adapters/http/bounded-agent.test.ts fails
 * with a version that reads differently.
 */
import { type AgentOptions, Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'

export interface ConnectionOptions extends AgentOptions {
  /** Sent over plain HTTP before the request. */
  readonly preamble?: string
}

/** Node's own limit for an answer's head, some interim answers, and one read of what follows. */
const HEAD_BYTES = 80 * 1024
/** More interim answers than this in one read are not an answer. */
const MAX_INTERIM = 16

/**
 * An agent for one request to a URL, whose answer must begin within 80 KiB; its body, after `end()`, is not counted.
 *
 * Node accepts interim answers (RFC 9110, 15.2) without end and as fast as they arrive, and parses a read of 64 KiB, up to 3800 of them, before
 * anything else runs. With 20 upstreams that send them, 99 of 100 health checks waited for at most 20 to 30 ms of this process's own time, and
 * for 50 to 90 ms if the last read was parsed, too (npm run proof:fuzz -- --only hostile).
 */
export function boundedAgent(url: string, { preamble = '', ...options }: ConnectionOptions = {}) {
  const agent = url.startsWith('https:') ? new HttpsAgent({ ...options }) : new HttpAgent({ ...options })
  const connect = agent.createConnection.bind(agent)
  let left = HEAD_BYTES
  let hasEnded = false
  agent.createConnection = (...given) => {
    const socket = connect(...given)
    if (preamble !== '') socket?.write(preamble)
    socket?.on('data', (chunk: Buffer) => {
      if (hasEnded) return
      left -= chunk.length
      if (left >= 0 && chunk.toString('latin1').split('\r\n\r\nHTTP/1.').length <= MAX_INTERIM) return
      left = -1
      // Node's parser gets this read in any case: nothing is left in it to parse.
      chunk.fill(0)
      socket.destroy()
    })
    return socket
  }
  return {
    agent,
    /** The answer has begun. */
    end: () => {
      hasEnded = true
    },
    isTooLarge: () => left < 0,
  }
}
