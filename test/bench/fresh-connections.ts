/** The state that fresh connections see. */
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { Scheme } from './options.ts'
import { allAtOnce } from './turns.ts'

export interface Asked {
  readonly scheme: Scheme
  readonly port: number
  readonly domain: string
}

const WINDOW_MS = 200
const LANES = 4
const TIMEOUT_MS = 5000

/** Of the connections opened one after another within the next 200 ms, the share that this droplet does not answer. */
export async function shareOfOld(asked: Asked, droplet: string): Promise<number> {
  const until = performance.now() + WINDOW_MS
  const answers: (string | undefined)[] = []
  await allAtOnce(LANES, async () => {
    while (performance.now() < until) answers.push(await ask(asked).catch(() => undefined))
  })
  return answers.filter((answer) => answer !== droplet).length / answers.length
}

/** The answer over a new connection, with a full handshake for HTTPS. */
export async function ask({ scheme, port, domain }: Asked): Promise<string> {
  const options = { host: '127.0.0.1', port, headers: { host: domain }, agent: false, timeout: TIMEOUT_MS }
  return await new Promise((resolve, reject) => {
    const sent =
      scheme === 'http'
        ? requestHttp(options)
        : requestHttps({ ...options, servername: domain, rejectUnauthorized: false })
    sent.on('response', (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString()
      })
      response.on('error', reject)
      response.on('end', () => resolve(text))
    })
    sent.on('timeout', () => sent.destroy(new Error('no answer in time')))
    sent.on('error', reject)
    sent.end()
  })
}
