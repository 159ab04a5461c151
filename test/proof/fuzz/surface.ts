/** Tens of thousands of requests over kept connections, valid and mutated, to an API without a token and to one with tokens. */
import fc from 'fast-check'
import * as v from 'valibot'
import { type LoopbackServer, startServer } from '../../../fixtures/loopback-server.ts'
import type { Findings } from '../findings.ts'
import type { FuzzPart } from './bounds.ts'
import { type Accepted, faultsOfLog, faultsOnDisk, strangeArguments } from './check-host.ts'
import { AcceptedBody, domainOf } from './expected.ts'
import { faultsOf } from './judge.ts'
import { harmfulListing } from './registry.ts'
import { type FuzzRequest, fuzzRequest, type Surroundings, toBytes } from './requests.ts'
import { type Scene, startScene } from './scene.ts'
import { keptConnection, type WireAnswer } from './wire.ts'

const CONNECTIONS = 32
const BATCH = 250
/** The host is checked after every so many batches, and at the end. */
const LOOK_EVERY = 8
/** After so many faults further ones add nothing. */
const ENOUGH = 12
const SHRINK_MS = 5000
const TOKENS = { all: 'the-token-of-the-api-0123456789', read: 'the-token-that-reads-0123456789' }

interface Run {
  readonly scene: Scene
  readonly arbitrary: fc.Arbitrary<FuzzRequest>
  readonly accepted: Map<string, Accepted>
  readonly listed: ReadonlyMap<string, AcceptedBody>
  readonly secrets: { readonly texts: readonly string[] }
  readonly token: string | undefined
  readonly count: Map<string, number>
  readonly violations: string[]
}

export const surface: FuzzPart = {
  title: 'requests of every kind, mutated in every place',
  run: async ({ requests, seed }, stopped): Promise<Findings> => {
    const started = performance.now()
    const count = new Map<string, number>()
    const violations: string[] = []
    for (const tokens of [undefined, TOKENS]) {
      const droplets: unknown[] = []
      const registry = await startServer((request, response) => {
        response.writeHead(request.url === '/droplets' ? 200 : 404, { 'content-type': 'application/json' })
        response.end(JSON.stringify(droplets))
      })
      try {
        await fuzz(
          registry,
          droplets,
          tokens,
          { requests: Math.ceil(requests / 2), seed },
          { count, violations },
          stopped,
        )
      } finally {
        registry.close()
      }
    }
    const of = (what: string) => count.get(what) ?? 0
    const sent = of('requests')
    return {
      figures: [
        { what: 'seed', value: String(seed) },
        { what: 'requests', value: sent },
        { what: 'requests a second', value: Math.round(sent / ((performance.now() - started) / 1000)) },
        ...[2, 4, 5].map((kind) => ({ what: `answered with ${kind}xx`, value: of(`${kind}xx`) })),
        { what: 'changes carried out', value: of('changes') },
        { what: 'orders that certbot was called for', value: of('orders') },
        { what: 'checks of every file and directive', value: of('looks') },
        { what: 'broken promises', value: violations.length, atMost: 0 },
      ],
      violations,
    }
  },
}

async function fuzz(
  registry: LoopbackServer,
  droplets: unknown[],
  tokens: typeof TOKENS | undefined,
  { requests, seed }: { readonly requests: number; readonly seed: number },
  { count, violations }: Pick<Run, 'count' | 'violations'>,
  stopped: AbortSignal,
): Promise<void> {
  const guarded = tokens && {
    PROXY_MANAGER_API_TOKEN: tokens.all,
    PROXY_MANAGER_READ_TOKEN: tokens.read,
    AUTH_REGISTRY_JWT: 'true',
  }
  const scene = await startScene({
    REGISTRY_URL: registry.url,
    REGISTRY_TOKEN: 'the-token-for-the-registry-012',
    ...guarded,
  })
  try {
    const { manager, nginx } = scene.host
    const { listed, droplets: harmful } = harmfulListing(scene.droplet.port)
    droplets.push(...harmful)
    const around: Surroundings = {
      port: manager.port,
      dropletPort: scene.droplet.port,
      nginxPort: nginx.httpPort,
      certified: scene.certified,
      ...(tokens && { tokens }),
    }
    const run: Run = {
      scene,
      arbitrary: fuzzRequest(around),
      accepted: new Map(),
      listed,
      secrets: { texts: [nginx.root, process.cwd(), ...scene.secrets] },
      token: tokens?.all,
      count,
      violations,
    }
    let logged = 0
    const look = async () => {
      note(run, 'looks')
      const readRoutes = async () => JSON.parse((await askSimply(run, '/proxies')).body)
      violations.push(...(await faultsOnDisk(scene, readRoutes, run.accepted, listed)), ...faultsOfLog(scene, logged))
      logged = manager.log.length
      const { status } = await askSimply(run, '/health')
      if (status !== 200) violations.push(`GET /health: ${status}`)
    }
    for (let sent = 0; sent < requests && violations.length < ENOUGH; sent += BATCH * LOOK_EVERY) {
      stopped.throwIfAborted()
      await sendAll(run, generate(run, Math.min(BATCH * LOOK_EVERY, requests - sent), seed * 10_000 + sent / BATCH))
      await look()
    }
    note(run, 'orders', scene.certbotCalls().length)
    violations.push(...strangeArguments(scene))
    if (manager.errors !== '') violations.push(`on standard error: ${manager.errors.slice(0, 500)}`)
  } finally {
    await scene.close()
  }
}

interface Generated {
  readonly request: FuzzRequest
  readonly seed: number
  readonly i: number
}

/** The requests of one seed after the other's. */
function* generate({ arbitrary }: Run, size: number, firstSeed: number): Generator<Generated> {
  for (let made = 0, seed = firstSeed; made < size; made += BATCH, seed++)
    for (const [i, request] of fc.sample(arbitrary, { numRuns: Math.min(BATCH, size - made), seed }).entries())
      yield { request, seed, i }
}

/** Sends requests, several at a time; those that cause a fault are minimised. */
async function sendAll(run: Run, waiting: Iterable<Generated>): Promise<void> {
  const iterator = waiting[Symbol.iterator]()
  const lanes = Array.from({ length: CONNECTIONS }, async () => {
    const connection = keptConnection(run.scene.host.manager.port)
    for (let next = iterator.next(); next.done !== true && run.violations.length < ENOUGH; next = iterator.next()) {
      const { request } = next.value
      const answer = await connection.ask(toBytes(request), request.method !== 'HEAD')
      const faults = take(run, request, answer)
      if (faults.length > 0) run.violations.push(await describe(run, next.value, faults))
    }
    connection.close()
  })
  await Promise.all(lanes)
}

/** Counts an answer, keeps what it accepts, and returns what is wrong with it. */
function take(run: Run, request: FuzzRequest, answer: WireAnswer | string): string[] {
  note(run, 'requests')
  const faults = faultsOf(request, answer, run.secrets)
  if (typeof answer === 'string') return faults
  note(run, `${Math.floor(answer.status / 100)}xx`)
  try {
    keepAccepted(run, request, answer)
  } catch (error) {
    faults.push(
      `accepted, but the expected directives are unknown: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
  return faults
}

const Carried = v.looseObject({
  droplet_name: v.string(),
  revision: v.string(),
  receipt: v.looseObject({ reloaded: v.boolean() }),
})
const Command = v.object({
  payload: v.object({ command: v.literal('upsert'), droplet_name: v.string(), proxy: AcceptedBody }),
})
const Result = v.object({ result: Carried })

/** The answer to a change names the revision of the file that it wrote. */
function keepAccepted({ accepted, count }: Run, { method, target, body = '' }: FuzzRequest, answer: WireAnswer): void {
  const [path = ''] = target.split('?')
  if (answer.status >= 300 || !['PUT', 'POST'].includes(method) || answer.body === '') return
  const parsed: unknown = JSON.parse(answer.body)
  const sent = (): unknown =>
    JSON.parse(
      Buffer.from(body, 'latin1')
        .toString()
        .replace(/^\ufeff/, ''),
    )
  const keep = (
    droplet: string,
    wanted: AcceptedBody,
    { revision, droplet_name, receipt }: v.InferOutput<typeof Carried>,
  ) => {
    if (droplet_name !== droplet) throw new Error(`${droplet} was requested, ${droplet_name} changed`)
    accepted.set(revision, { droplet, body: wanted })
    if (receipt.reloaded) count.set('changes', (count.get('changes') ?? 0) + 1)
  }
  if (path.endsWith('/message')) {
    const result = v.safeParse(Result, parsed)
    const command = v.safeParse(Command, result.success ? sent() : undefined)
    if (result.success && command.success)
      keep(command.output.payload.droplet_name, command.output.payload.proxy, result.output.result)
    return
  }
  const carried = v.safeParse(Carried, parsed)
  if (!carried.success || !/^\/proxies(\/[^/]+)?$/.test(path)) return
  const wanted = v.parse(v.looseObject({ ...AcceptedBody.entries, droplet_name: v.optional(v.string()) }), sent())
  const named = method === 'PUT' ? path.slice('/proxies/'.length) : wanted.droplet_name
  keep(named ?? domainOf(wanted.domain).replaceAll('.', '-'), wanted, carried.output)
}

/** The fault, and the smallest request that causes one; if none does alone, the request itself. */
async function describe(run: Run, { request, seed, i }: Generated, faults: readonly string[]): Promise<string> {
  const connection = keptConnection(run.scene.host.manager.port)
  const found = await fc.check(
    fc.asyncProperty(run.arbitrary, async (one) => {
      const answer = await connection.ask(toBytes(one), one.method !== 'HEAD')
      return take(run, one, answer).length === 0
    }),
    { seed, path: String(i), numRuns: i + 1, interruptAfterTimeLimit: SHRINK_MS },
  )
  connection.close()
  const [smallest] = found.counterexample ?? []
  const shown = JSON.stringify(smallest ?? request)
  const how = smallest === undefined ? 'not reproduced alone' : 'minimised'
  return `${faults.join('; ')} (${how}; batch seed ${seed}, request ${i}): ${shown.slice(0, 2000)}`
}

async function askSimply({ scene, token }: Run, target: string): Promise<WireAnswer> {
  const { port } = scene.host.manager
  const headers: [string, string][] = [
    ['host', `127.0.0.1:${port}`],
    ...(token ? [['authorization', `Bearer ${token}`] as [string, string]] : []),
  ]
  const connection = keptConnection(port)
  const answer = await connection.ask(toBytes({ method: 'GET', target, headers, body: undefined }), true)
  connection.close()
  if (typeof answer === 'string') throw new Error(`GET ${target}: ${answer}`)
  return answer
}

function note({ count }: Pick<Run, 'count'>, what: string, by = 1): void {
  count.set(what, (count.get(what) ?? 0) + by)
}
