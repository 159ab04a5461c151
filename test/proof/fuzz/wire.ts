/** HTTP as bytes on a socket: exactly what was generated is sent, and the answers are parsed strictly here. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface WireAnswer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** The answers of a connection, and the rest of its bytes. */
export interface Heard {
  readonly answers: readonly WireAnswer[]
  readonly rest: Buffer
}

/** For a call that hangs: on a busy machine one waits for several changes of others, each of them with a reload. */
const TIMEOUT_MS = 120_000
const SILENCE_MS = 100
const HEAD_END = Buffer.from('\r\n\r\n')

/** Parses the answers in these bytes; `hasBody` decides whether what follows a head is its body. */
export function readAnswers(bytes: Buffer, hasBody: (following: Buffer) => boolean): Heard {
  const answers: WireAnswer[] = []
  let rest = bytes
  for (;;) {
    const end = rest.indexOf(HEAD_END)
    if (end < 0) return { answers, rest }
    const [first = '', ...lines] = rest.subarray(0, end).toString('latin1').split('\r\n')
    const status = Number(/^HTTP\/1\.1 (\d{3}) [\x20-\x7e]*$/.exec(first)?.[1])
    if (Number.isNaN(status)) return { answers, rest }
    const headers = new Map(
      lines.map((line): [string, string] => {
        const colon = line.indexOf(':')
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
      }),
    )
    const from = end + HEAD_END.length
    if (status < 200) {
      rest = rest.subarray(from)
      continue
    }
    const length = status === 204 || !hasBody(rest.subarray(from)) ? 0 : Number(headers.get('content-length'))
    if (Number.isNaN(length)) throw new Error(`an answer without a length: ${first}`)
    if (rest.length < from + length) return { answers, rest }
    answers.push({ status, headers, body: rest.subarray(from, from + length).toString() })
    rest = rest.subarray(from + length)
  }
}

/** A kept connection, one request after another; opened again after an answer that ends it. */
export function keptConnection(port: number) {
  let socket: Socket | undefined
  const open = async (): Promise<Socket> => {
    const fresh = connect(port, '127.0.0.1')
    fresh.setNoDelay(true)
    await once(fresh, 'connect')
    fresh.on('error', () => undefined)
    return fresh
  }
  return {
    close: () => socket?.destroy(),
    /** The answer, or why there is none. */
    ask: async (bytes: Buffer, hasBody: boolean): Promise<WireAnswer | string> => {
      if (socket === undefined || !socket.writable) socket = await open()
      const current = socket
      const chunks: Buffer[] = []
      const answer = await new Promise<WireAnswer | string>((resolve) => {
        const settle = (result: WireAnswer | string) => {
          clearTimeout(timer)
          current.removeAllListeners('data').removeAllListeners('close')
          resolve(result)
        }
        const timer = setTimeout(() => settle(`no answer within ${TIMEOUT_MS / 1000} s`), TIMEOUT_MS)
        current.on('close', () => settle('the connection ended without an answer'))
        current.on('data', (chunk: Buffer) => {
          chunks.push(chunk)
          const { answers, rest } = readAnswers(Buffer.concat(chunks), () => hasBody)
          // If a request could not be read, its method HEAD is not known.
          const isLast = !hasBody && answers[0]?.headers.get('connection') === 'close'
          if (answers.length > 0 && rest.length > 0 && !isLast) settle('more than one answer to one request')
          else if (answers[0] !== undefined) settle(answers[0])
        })
        current.write(bytes)
      })
      if (typeof answer === 'string' || answer.headers.get('connection') === 'close') {
        current.destroy()
        socket = undefined
      }
      return answer
    },
  }
}

/**
 * Sends bytes over a new connection, in these pieces, and returns everything received until it is closed. The API must close it
 * (`wait`), or our side is ended once the API has been silent for a moment (`end`), or it is reset at once (`reset`).
 */
export async function exchange(
  port: number,
  pieces: readonly Buffer[],
  ending: 'wait' | 'end' | 'reset',
): Promise<Buffer | string> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  const chunks: Buffer[] = []
  let isLate = false
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  const timer = setTimeout(() => {
    isLate = true
    socket.destroy()
  }, TIMEOUT_MS)
  const silence = setTimeout(() => {
    if (ending === 'end') socket.end()
  }, SILENCE_MS)
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    silence.refresh()
  })
  for (const piece of pieces) {
    socket.write(piece)
    if (pieces.length > 1) await new Promise((resolve) => setImmediate(resolve))
  }
  if (ending === 'reset') socket.resetAndDestroy()
  await closed
  clearTimeout(timer)
  clearTimeout(silence)
  return isLate ? `a connection that was not closed within ${TIMEOUT_MS / 1000} s` : Buffer.concat(chunks)
}
