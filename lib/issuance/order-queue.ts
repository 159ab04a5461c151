/** One certbot at a time. Orders wait in a bounded queue that callers can see; an order that nobody waits for any more is not made. */
import { ProxyManagerError } from '../errors.ts'
import type { SslOrder } from '../route/state.ts'

export interface OrderQueue {
  /**
   * Runs an order when its turn has come and somebody still wants it.
   * @throws {ProxyManagerError} BUSY if too many orders wait, or nobody wanted it any more; what the job throws
   */
  order<T>(domain: string, isWanted: () => boolean, job: () => Promise<T>): Promise<T>
  /** Runs a job while no certbot of ours runs, which would hold the lock on its directories; before the orders that wait. */
  exclusively<T>(job: () => Promise<T>): Promise<T>
  /** The place of a domain's order; `undefined` if it has none. */
  placeOf(domain: string): SslOrder | undefined
  /** Number of orders that wait. */
  readonly waiting: number
}

/** An order takes some seconds, and 3 minutes if the CA hangs: behind more of them, callers would wait longer than they do. */
export const MAX_WAITING_ORDERS = 20
const RETRY_AFTER_S = 60

interface Entry {
  readonly domain: string | undefined
  readonly isWanted: () => boolean
  readonly run: () => Promise<void>
}

/** Makes an empty queue. */
export function orderQueue(): OrderQueue {
  const entries: Entry[] = []
  let current: Entry | undefined
  const waiting = () => entries.filter(({ domain, isWanted }) => domain !== undefined && isWanted())
  const runAll = async (): Promise<void> => {
    for (current = entries.shift(); current !== undefined; current = entries.shift()) await current.run()
  }
  const add = <T>(
    { domain, isWanted }: Omit<Entry, 'run'>,
    job: () => Promise<T>,
    insert: (entry: Entry) => void,
  ): Promise<T> =>
    new Promise((resolve, reject) => {
      const run = () => (isWanted() ? job() : Promise.reject(abandoned())).then(resolve, reject)
      insert({ domain, isWanted, run })
      if (current === undefined) void runAll()
    })
  return {
    order: async (domain, isWanted, job) => {
      if (waiting().length >= MAX_WAITING_ORDERS) throw full()
      return await add({ domain, isWanted }, job, (entry) => void entries.push(entry))
    },
    exclusively: (job) => add({ domain: undefined, isWanted: () => true }, job, (entry) => void entries.unshift(entry)),
    placeOf: (domain) => {
      if (current?.domain === domain) return { state: 'running', position: 0 }
      const position = waiting().findIndex((entry) => entry.domain === domain) + 1
      return position === 0 ? undefined : { state: 'waiting', position }
    },
    get waiting() {
      return waiting().length
    },
  }
}

function full(): ProxyManagerError {
  return new ProxyManagerError('BUSY', {
    message: `${MAX_WAITING_ORDERS} certificate orders are waiting already`,
    retryAfterS: RETRY_AFTER_S,
    details: {
      remedy: 'Call again later: one certificate is ordered at a time; ssl_order in GET /proxies shows which',
    },
  })
}

function abandoned(): ProxyManagerError {
  return new ProxyManagerError('BUSY', {
    message: 'The caller was gone before its order began, so nothing was ordered',
  })
}
