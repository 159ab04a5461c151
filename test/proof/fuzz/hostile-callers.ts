/** Slow, numerous or endless callers, and what each kind does once it is connected. */
import { connect, type Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import type { Manager } from '../../../fixtures/manager.ts'
import type { Bounds } from './bounds.ts'

/** 5 s for the headers and 10 s for the whole request, checked every second; plus some time for a busy machine. */
const CUT_OFF_MS = 14_000
/** 30 s for the answer, plus the time to fill the system's buffers. */
const UNTAKEN_CUT_OFF_MS = 60_000
const HEAD = 'PUT /proxies/app HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'

export interface Caller {
  readonly what: string
  readonly count: (bounds: Bounds) => number
  /** By when it is cut off, if later than slow senders. */
  readonly cutOffMs?: number
  /** What it does once it is connected, until `isOver`. */
  readonly act: (socket: Socket, isOver: () => boolean) => void
}

function drip(socket: Socket, everyMs: number, bytes: () => string | Buffer, isOver: () => boolean): void {
  const more = () => {
    if (socket.destroyed || !socket.writable || isOver()) return
    socket.write(bytes())
    globalThis.setTimeout(more, everyMs)
  }
  more()
}

export const HOSTILE_CALLERS: readonly Caller[] = [
  { what: 'idle connections', count: ({ connections }) => connections, act: () => undefined },
  {
    what: 'senders of slow headers',
    count: ({ connections }) => connections / 4,
    act: (socket, isOver) => {
      socket.write('GET /health HTTP/1.1\r\n')
      drip(socket, 500, () => 'X: y\r\n', isOver)
    },
  },
  {
    what: 'senders of slow bodies',
    count: ({ connections }) => connections / 4,
    act: (socket, isOver) => {
      socket.write(`${HEAD}Content-Length: 60000\r\n\r\n`)
      drip(socket, 500, () => ' ', isOver)
    },
  },
  {
    what: 'bodies without end',
    count: ({ connections }) => connections / 40,
    act: (socket, isOver) => {
      socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`)
      const piece = `4000\r\n${'x'.repeat(0x4000)}\r\n`
      const more = () => {
        if (!socket.writable || isOver()) return
        if (socket.write(piece)) setImmediate(more)
        else socket.once('drain', more)
      }
      more()
    },
  },
  {
    what: 'requests piled up without end',
    count: () => 8,
    act: (socket, isOver) => {
      const pile = 'GET /proxies HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(50)
      // A caller that sends complete requests is not cut off: it ends by itself.
      globalThis.setTimeout(() => socket.destroy(), 3000)
      const more = () => {
        if (!socket.writable || isOver()) return
        if (socket.write(pile)) setImmediate(more)
        else socket.once('drain', more)
      }
      more()
    },
  },
  {
    what: 'callers that read no answer',
    count: ({ connections }) => connections / 100,
    cutOffMs: UNTAKEN_CUT_OFF_MS,
    act: (socket, isOver) => {
      socket.pause()
      socket.write(PILE)
      // A caller that reads nothing only notices this way that it was cut off.
      drip(socket, 500, () => 'GET', isOver)
    },
  },
]

/** Many times what the system buffers of answers that nobody reads. */
const PILE = 'GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(1000)

/** Opens them all at once, and waits until each is cut off; those that are not within the time limit count as lasting. */
export async function sufferCallers(
  manager: Manager,
  { count, act, cutOffMs = CUT_OFF_MS }: Caller,
  bounds: Bounds,
): Promise<{ readonly opened: number; readonly lasting: number }> {
  let isOver = false
  let opened = 0
  const sockets = Array.from({ length: Math.ceil(count(bounds)) }, () => {
    const socket = connect(manager.port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.on('data', () => undefined)
    socket.on('connect', () => {
      opened++
      act(socket, () => isOver)
    })
    return { socket, closed: new Promise<void>((resolve) => socket.once('close', () => resolve())) }
  })
  const late = new AbortController()
  await Promise.race([
    Promise.all(sockets.map(({ closed }) => closed)),
    setTimeout(cutOffMs, undefined, { signal: late.signal }).catch(() => undefined),
  ])
  late.abort()
  isOver = true
  const lasting = sockets.filter(({ socket }) => !socket.destroyed).length
  for (const { socket } of sockets) socket.destroy()
  return { opened, lasting }
}
