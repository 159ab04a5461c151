/** A container of an image, without an engine: its command as the first process in namespaces of its own. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Place } from './root.ts'
import { type Ended, eventually, leaderBelow, type Shell } from './shell.ts'

export interface Network {
  /** A command that runs the following one in this network. */
  readonly inside: readonly string[]
  close(): void
}

/** A network that has nothing but loopback. */
export async function createNetwork(shell: Shell): Promise<Network> {
  const holder = shell.start(['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec sleep infinity'])
  const inside = ['nsenter', `--net=/proc/${holder.pid}/ns/net`]
  await eventually(async () => {
    const { output } = await shell.run([...inside, 'ip', 'addr', 'show', 'lo'])
    return /LOOPBACK,UP/.test(output) && !/eth|wlan/.test(output) ? true : undefined
  }, 'the network')
  return { inside, close: () => void holder.kill('SIGKILL') }
}

export interface ContainerOptions {
  readonly root: string
  readonly network: Network
  /** NAME=value */
  readonly environment: readonly string[]
  readonly command: readonly string[]
  /** source:target */
  readonly volumes: readonly string[]
}

export interface Container {
  /** As `docker exec` does, with `sh -c`. */
  exec(text: string): Promise<Ended>
  /** As `docker stop` does. @returns the exit status, and after how many seconds */
  stop(): Promise<{ readonly status: number | null; readonly seconds: number }>
  /** The exit status. */
  ended(): Promise<number | null>
}

export async function runContainer(shell: Shell, place: Place, options: ContainerOptions): Promise<Container> {
  const { root, network, environment, command, volumes } = options
  const enter = ['sh', 'test/releases/enter.sh', root, 'root', '/opt/proxy-manager']
  const child: ChildProcess = shell.start([...network.inside, ...enter, 'env', ...environment, ...command], {
    cwd: place.clone,
    environment: { BINDS: volumes.join('\n') },
  })
  const exit = once(child, 'exit')
  const leader = await eventually(async () => leaderBelow(child.pid), 'the container starts')
  const join = [
    'nsenter',
    '--target',
    String(leader),
    '--mount',
    '--pid',
    '--net',
    '--root',
    'env',
    '-i',
    '--chdir=/opt/proxy-manager',
  ]
  const ended = async () => {
    await exit
    return child.exitCode
  }
  return {
    exec: (text) => shell.run([...join, ...environment, 'sh', '-c', text]),
    stop: async () => {
      const began = performance.now()
      process.kill(leader, 'SIGTERM')
      return { status: await ended(), seconds: Math.round((performance.now() - began) / 1000) }
    },
    ended,
  }
}
