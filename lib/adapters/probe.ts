/** HTTP probes over fresh connections to an address that was checked before: health checks and the generation. */
import { Agent } from 'node:http'
import type { LookupFunction } from 'node:net'
import fetch from 'node-fetch'

export interface ProbeRequest {
  /** The literal address to connect to, whatever `host` says. */
  readonly address: string
  readonly port: number
  /** Sent as the Host header. */
  readonly host: string
  readonly path: string
  readonly timeoutMs: number
}

/** What came back; `failure` is the errno's name, `TIMEOUT` or `BROKEN`, where nothing did. */
export type ProbeAnswer = { readonly status: number; readonly body: string } | { readonly failure: string }

export interface Probe {
  /** Sends one GET over a new connection. Redirects are not followed; the body is cut after 4 KiB. Resolves for every outcome. */
  get(request: ProbeRequest): Promise<ProbeAnswer>
}

const BODY_BYTES = 4096

/** Probes with node-fetch, which honours a Host header and an agent, both of which the global fetch does not. */
export function hostProbe(): Probe {
  return {
    get: async ({ address, port, host, path, timeoutMs }) => {
      const family = address.includes(':') ? 6 : 4
      const lookup: LookupFunction = (_name, options, callback) => {
        if (options.all === true) callback(null, [{ address, family }])
        else callback(null, address, family)
      }
      const agent = new Agent({ keepAlive: false, lookup })
      const signal = AbortSignal.timeout(timeoutMs)
      try {
        const response = await fetch(`http://probe.invalid:${port}${path}`, {
          agent,
          signal,
          redirect: 'manual',
          compress: false,
          headers: { host, 'user-agent': 'proxy-manager', connection: 'close' },
        })
        let body = ''
        try {
          for await (const chunk of response.body ?? []) {
            body += chunk.toString()
            if (body.length >= BODY_BYTES) break
          }
        } catch (error) {
          return { failure: failureOf(error, signal) }
        }
        return { status: response.status, body: body.slice(0, BODY_BYTES) }
      } catch (error) {
        return { failure: failureOf(error, signal) }
      } finally {
        agent.destroy()
      }
    },
  }
}

function failureOf(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return 'TIMEOUT'
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : 'BROKEN'
}
