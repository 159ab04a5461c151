/** What the manual's examples take place in: an NGINX, a CA, a Registry and the API, on ports of their own in place of those that it names. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { startPebble } from '../../../fixtures/acme/pebble.ts'
import { type Droplet, startDroplet } from '../../../fixtures/droplet.ts'
import { freePort } from '../../../fixtures/free-port.ts'
import { startServer } from '../../../fixtures/loopback-server.ts'
import { COMPILE_CACHE, type Manager, startManager } from '../../../fixtures/manager.ts'
import { createNginx, type NginxInstance } from '../../../fixtures/nginx-instance.ts'
import { ROOT } from '../manual-pages.ts'

const COMMAND_TIMEOUT_MS = 60_000

export interface Ran {
  readonly status: number
  readonly out: string
  readonly err: string
}

export interface ReadmeScene {
  readonly nginx: NginxInstance
  readonly manager: Manager
  /** The environment of the API's process. */
  readonly environment: Readonly<Record<string, string>>
  /** The droplet of the command line's examples. */
  readonly app: Droplet
  /** The same text with the ports of this scene, and those given here. */
  readonly place: (text: string, ports?: Readonly<Record<number, number>>) => string
  /** Runs a command as the manual has it, in a clone, with Node and the command line in `PATH`. */
  readonly run: (command: string) => Promise<Ran>
  /** Starts one that goes on until the scene ends, and resolves once this port is listened on. */
  readonly startListening: (
    command: string,
    port: number,
    environment?: Readonly<Record<string, string>>,
  ) => Promise<void>
  readonly close: () => Promise<void>
}

/** A hand-written site. */
function writeSite({ sitesAvailable, sitesEnabled, httpPort }: NginxInstance, droplet: number): void {
  const text = `server {
    listen ${httpPort};
    server_name shop.example.org;
    location / {
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_redirect off;
        proxy_pass http://127.0.0.1:${droplet};
    }
}
`
  writeFileSync(join(sitesAvailable, 'shop'), text)
  symlinkSync(join(sitesAvailable, 'shop'), join(sitesEnabled, 'shop'))
}

export async function setReadmeScene(): Promise<ReadmeScene> {
  const undo: (() => Promise<unknown>)[] = []
  const close = async () => {
    for (const step of undo.reverse()) await step()
  }
  try {
    const nginx = await createNginx()
    undo.push(() => nginx.remove())
    const droplet = await freePort()
    writeSite(nginx, droplet)
    await nginx.start()
    const pebble = await startPebble({ httpPort: nginx.httpPort, folder: join(nginx.root, 'pebble') })
    undo.push(() => pebble.close())
    const [dead, api] = [await freePort(), await freePort()]
    const registryUrl = await startRegistry(droplet, undo)
    const environment = {
      ...nginx.environment,
      ...pebble.environment,
      CERTBOT_WORK_DIR: join(nginx.root, 'certbot-work'),
      CERTBOT_LOGS_DIR: join(nginx.root, 'certbot-logs'),
      REGISTRY_URL: registryUrl,
    }
    const manager = await startManager(environment, api)
    undo.push(() => manager.end())
    const app = await startDroplet('app')
    undo.push(() => app.close())
    const ports = { 8100: api, 8080: nginx.httpPort, 8443: nginx.httpsPort, 9000: droplet, 9001: dead, 8002: app.port }
    const shell = shellOf(manager.url, nginx.root)
    return {
      nginx,
      manager,
      environment,
      app,
      place: (text, own = {}) => {
        const all: Readonly<Record<string, number>> = { ...ports, ...own }
        return text.replace(/\b\d{4}\b/g, (port) => String(all[port] ?? port))
      },
      run: (command) => run(command, shell),
      startListening: async (command, port, own = {}) => {
        const child = spawn('/bin/sh', ['-c', command], {
          cwd: ROOT,
          env: { ...shell, ...own },
          detached: true,
          stdio: ['ignore', 'ignore', 'pipe'],
        })
        undo.push(() => endGroup(child))
        await untilListening(child, port)
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** A Registry with what the manual's sync finds in it. */
async function startRegistry(port: number, undo: (() => Promise<unknown>)[]): Promise<string> {
  const droplets = [
    { name: 'orders', domain: 'orders.example.com', port, status: 'active' },
    { name: 'billing', domain: 'billing.example.com', port, status: 'inactive' },
    { name: 'hello', domain: 'hello.example.com', port, status: 'active' },
  ]
  const { url, close } = await startServer((request, response) =>
    response.writeHead(request.url === '/droplets' ? 200 : 404).end(JSON.stringify(droplets)),
  )
  undo.push(async () => close())
  return url
}

/** The environment of a reader's shell: `node` is this one, and `proxy-manager` the command line of this clone. */
function shellOf(managerUrl: string, folder: string): Readonly<Record<string, string>> {
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  const programs = { node: '', 'proxy-manager': ` '${join(ROOT, 'lib/cli/main.ts')}'` }
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(bin, name), `#!/bin/sh\nexec '${process.execPath}'${script} "$@"\n`)
    chmodSync(join(bin, name), 0o755)
  }
  return {
    PATH: `${bin}:${process.env.PATH}`,
    HOME: folder,
    NODE_COMPILE_CACHE: COMPILE_CACHE,
    PROXY_MANAGER_URL: managerUrl,
  }
}

function run(command: string, env: Readonly<Record<string, string>>): Promise<Ran> {
  return new Promise((resolve) => {
    execFile('/bin/sh', ['-c', command], { cwd: ROOT, env, timeout: COMMAND_TIMEOUT_MS }, (error, out, err) => {
      const status = typeof error?.code === 'number' ? error.code : error === null ? 0 : 255
      resolve({ status, out, err })
    })
  })
}

async function untilListening(child: ChildProcess, port: number): Promise<void> {
  let said = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  for (let tries = 0; tries < 500 && child.exitCode === null; tries++) {
    if (await isListening(port)) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`nobody listens on port ${port}: ${said}`)
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true))
    socket.once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

/** Ends a command with whatever it has started: it leads a process group of its own. */
async function endGroup(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  process.kill(-child.pid, 'SIGKILL')
  await gone
}
