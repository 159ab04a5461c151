/** Runs the command line in this process, against an API on a loopback port, and captures its output. */
import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders, IncomingMessage, RequestListener } from 'node:http'
import { createServerAdapter } from '@whatwg-node/server'
import { type FakeDeps, type FakeOptions, fakeDeps } from '../../fixtures/deps.ts'
import { startServer } from '../../fixtures/loopback-server.ts'
import { createApp } from '../../functions/index.ts'
import { patientFetch } from '../../lib/adapters/http-client.ts'
import type { CliContext } from '../../lib/cli/command.ts'
import { run } from '../../lib/cli/program.ts'

/** A route as put and plan expect it. */
export const APP = ['--domain', 'app.example.com', '--upstream', 'http://localhost:8002', '--no-ssl']

/** Every command that calls the API, with what it requires. */
export const CALLING = [
  ['list'],
  ['get', 'app'],
  ['put', 'app', '--domain', 'a.example.com', '--upstream', 'http://localhost:1'],
  ['plan', 'app', '--domain', 'a.example.com', '--upstream', 'http://localhost:1'],
  ['delete', 'app'],
  ['rename', 'app', 'other'],
  ['history', 'app'],
  ['rollback', 'app'],
  ['ssl', 'app'],
  ['sync'],
  ['export'],
  ['apply', 'routes.json'],
  ['reconcile'],
  ['events'],
  ['health'],
]

export interface Ended {
  readonly status: number | undefined
  readonly out: string
  readonly err: string
}

/** Runs one command line. */
export async function runCli(
  argv: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  files: Readonly<Record<string, string>> = {},
  given: Partial<Pick<CliContext, 'columns' | 'isTerminal' | 'isErrorTerminal' | 'every' | 'err'>> = {},
): Promise<Ended> {
  let [out, err] = ['', '']
  const status = await run(argv, {
    environment,
    out: (text) => {
      out += text
    },
    err: (text) => {
      err += text
    },
    read: (path) => {
      const text = files[path]
      return text === undefined ? { failure: 'ENOENT' } : { text }
    },
    readInput: async () => files['-'] ?? '',
    fetch: patientFetch,
    every: () => () => undefined,
    columns: 80,
    isTerminal: false,
    isErrorTerminal: false,
    randomId: randomUUID,
    ...given,
    program: ['/usr/bin/node', '/opt/proxy-manager/main.js'],
  })
  return { status, out, err }
}

export interface Api {
  readonly environment: Readonly<Record<string, string>>
  readonly cli: (...argv: string[]) => Promise<Ended>
  /** What the command line finds when it reads a file. */
  readonly files: Record<string, string>
}

async function listening<T>(listener: RequestListener, use: (api: Api) => Promise<T>): Promise<T> {
  const server = await startServer(listener)
  const environment = { PROXY_MANAGER_URL: server.url }
  try {
    const files: Record<string, string> = {}
    return await use({ environment, files, cli: (...argv) => runCli(argv, environment, files) })
  } finally {
    server.close()
  }
}

/** The real API on a host of fakes. */
export async function withApi(
  use: (api: Api, deps: FakeDeps) => Promise<void>,
  options: FakeOptions = {},
): Promise<void> {
  const deps = await fakeDeps(options)
  await listening(createServerAdapter(createApp(() => deps)), async (api) => {
    await use(api, deps)
    await deps.engine.idle()
  })
}

export interface Seen {
  readonly method: string
  readonly url: string
  readonly body: unknown
  readonly authorization: string | undefined
  readonly headers: IncomingHttpHeaders
}

interface Answer {
  readonly status?: number
  readonly body: unknown
}

/** A server that gives one answer to every call, or to each its own, and records the calls. */
export async function withAnswer(
  answer: Answer | ((request: IncomingMessage) => Answer),
  use: (api: Api, seen: readonly Seen[]) => Promise<void>,
): Promise<void> {
  const seen: Seen[] = []
  const listener: RequestListener = async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    const { method = '', url = '', headers } = request
    seen.push({
      method,
      url,
      body: text === '' ? undefined : JSON.parse(text),
      authorization: headers.authorization,
      headers,
    })
    const { status = 200, body } = typeof answer === 'function' ? answer(request) : answer
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  }
  await listening(listener, (api) => use(api, seen))
}
