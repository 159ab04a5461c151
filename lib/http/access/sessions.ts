/**
 * Sessions of people in a browser. Each has two halves, a cookie and a key that the page sends as a header, and neither opens anything by itself:
 * cookies are not kept apart by port (RFC 6265, 8.5), so that every other service of the same host name receives them.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Caller } from './guard.ts'

export interface SessionHalves {
  readonly cookie: string
  readonly key: string
}

export interface Sessions {
  /** Opens a session for a caller, whom the guard has checked. */
  open(caller: Caller): SessionHalves
  /** The caller of the session with these halves; `undefined` if it has ended, or if they are not of one session. */
  find(halves: SessionHalves, isInBackground: boolean): Caller | undefined
  end(halves: SessionHalves): void
}

const IDLE_MS = 30 * 60_000
const LONGEST_MS = 12 * 3_600_000
/** If another one is opened, one of whoever has the most ends, the one that was used least recently: nobody can end those of others. */
const MAX_SESSIONS = 64

interface Session {
  readonly cookie: Buffer
  readonly key: Buffer
  readonly caller: Caller
  readonly endsAtMs: number
  usedAtMs: number
}

/** Makes the sessions of one process, in memory, as digests: a restart ends all of them. */
export function memorySessions(monotonicMs: () => number): Sessions {
  let open: readonly Session[] = []
  const isOpen = ({ usedAtMs, endsAtMs, caller }: Session) => {
    const nowMs = monotonicMs()
    return nowMs < endsAtMs && nowMs < usedAtMs + IDLE_MS && caller.isAllowed?.() !== false
  }
  const matching = (halves: SessionHalves): Session | undefined => {
    const [cookie, key] = [digest(halves.cookie), digest(halves.key)]
    open = open.filter(isOpen)
    // Every session is compared, so that the time says nothing about any of them.
    return open.filter((one) => [timingSafeEqual(one.cookie, cookie), timingSafeEqual(one.key, key)].every(Boolean))[0]
  }
  return {
    open: (caller) => {
      const halves = { cookie: randomHalf(), key: randomHalf() }
      const nowMs = monotonicMs()
      const session = { caller, endsAtMs: nowMs + LONGEST_MS, usedAtMs: nowMs }
      const others = open.filter(isOpen)
      const ending = others.length < MAX_SESSIONS ? undefined : leastUsed(others)
      open = [
        { ...session, cookie: digest(halves.cookie), key: digest(halves.key) },
        ...others.filter((one) => one !== ending),
      ]
      return halves
    },
    find: (halves, isInBackground) => {
      const session = matching(halves)
      if (session === undefined) return undefined
      if (!isInBackground) session.usedAtMs = monotonicMs()
      return { ...session.caller, isAllowed: () => open.includes(session) && isOpen(session) }
    },
    end: (halves) => {
      const session = matching(halves)
      open = open.filter((one) => one !== session)
    },
  }
}

/** Of the caller who has the most sessions, the one that was used least recently. */
function leastUsed(sessions: readonly Session[]): Session | undefined {
  const byCaller = Map.groupBy(sessions, ({ caller: { grant, actor } }) => `${grant} ${actor?.kind} ${actor?.name}`)
  const [most = []] = [...byCaller.values()].sort((a, b) => b.length - a.length)
  return most.toSorted((a, b) => b.usedAtMs - a.usedAtMs).at(-1)
}

/** 256 bits. */
function randomHalf(): string {
  return randomBytes(32).toString('base64url')
}

function digest(half: string): Buffer {
  return createHash('sha256').update(half).digest()
}
