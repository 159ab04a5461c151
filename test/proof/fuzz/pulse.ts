/** Calls GET /health all the time from its own thread, so that the load of this process does not count as the API's slowness. */
import { readFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import type { Manager } from '../../../fixtures/manager.ts'

export interface Pulse {
  readonly calls: number
  readonly failed: number
  readonly medianMs: number
  readonly p99Ms: number
  /** The same for the time that the API ran during a call: what it would have taken with free processors. */
  readonly ownP99Ms: number
  readonly slowestMs: number
}

const EVERY_MS = 10
const TIMEOUT_MS = 10_000

/** Starts it, and resolves after the first answer, which is not counted; `stop` ends it and returns the figures. */
export async function startPulse({ port, pid }: Manager): Promise<{ readonly stop: () => Promise<Pulse> }> {
  const worker = new Worker(new URL(import.meta.url), { workerData: { port, pid } })
  await new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  return {
    stop: async () => {
      const figures = new Promise<Pulse>((resolve, reject) => {
        worker.once('message', resolve)
        worker.once('error', reject)
      })
      worker.postMessage('stop')
      const pulse = await figures
      await worker.terminate()
      return pulse
    },
  }
}

async function beat(port: number, pid: number): Promise<void> {
  const kept = new Agent({ keepAlive: true })
  await ask(port, kept)
  parentPort?.postMessage('begun')
  const times: number[] = []
  const own: number[] = []
  let failed = 0
  let isOver = false
  parentPort?.once('message', () => {
    isOver = true
  })
  for (let i = 0; !isOver; i++) {
    const [started, before] = [performance.now(), processorMs(pid).ran]
    // Every other time over a new connection, as a load balancer does.
    const isHealthy = await ask(port, i % 2 === 0 ? kept : false)
    times.push(performance.now() - started)
    own.push(processorMs(pid).ran - before)
    if (!isHealthy) failed++
    await setTimeout(EVERY_MS)
  }
  kept.destroy()
  const pulse: Pulse = {
    calls: times.length,
    failed,
    medianMs: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
    ownP99Ms: quantile(own, 0.99),
    slowestMs: quantile(times, 1),
  }
  parentPort?.postMessage(pulse)
}

function quantile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(share * values.length))] ?? 0
}

/** How long a process ran, and how long it waited for a processor (proc(5), schedstat). */
export function processorMs(pid: number): { readonly ran: number; readonly waited: number } {
  const [ran = 0, waited = 0] = readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ').map(Number)
  return { ran: ran / 1e6, waited: waited / 1e6 }
}

async function ask(port: number, agent: Agent | false): Promise<boolean> {
  return await new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, path: '/health', agent, timeout: TIMEOUT_MS }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode === 200))
      response.on('error', () => resolve(false))
    })
    request.on('timeout', () => request.destroy())
    request.on('error', () => resolve(false))
  })
}

if (!isMainThread) await beat(workerData.port, workerData.pid)
