/** A root that is booted: systemd as its first process, and a network with nothing but loopback. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import type { Root } from './root.ts'
import { type Ended, eventually, expect, leaderBelow, type Shell } from './shell.ts'

export interface Machine {
  /** Runs a text with `sh -ec` as root, in /root. */
  run(text: string): Promise<Ended>
  /** @throws if it fails */
  must(text: string): Promise<string>
  boot(): Promise<void>
  /** Ends it and all that runs in it at once, without a shutdown. */
  kill(): Promise<void>
}

const BOOTED = ['running', 'degraded']

export function createMachine(shell: Shell, root: Root, name: string): Machine {
  let running: { readonly nspawn: ChildProcess; readonly leader: number } | undefined
  const inside = (text: string) => {
    const join = [
      'nsenter',
      '--target',
      String(running?.leader),
      '--mount',
      '--uts',
      '--ipc',
      '--net',
      '--pid',
      '--cgroup',
    ]
    const variables = [
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'HOME=/root',
      'LANG=C.UTF-8',
    ]
    return [
      ...join,
      '--root',
      'env',
      '-i',
      '--chdir=/root',
      ...variables,
      'DEBIAN_FRONTEND=noninteractive',
      'sh',
      '-ec',
      text,
    ]
  }
  const machine: Machine = {
    run: (text) => shell.run(inside(text)),
    must: async (text) => {
      const { status, output } = await machine.run(text)
      expect(status === 0, `exit status ${status}: ${output.trim().split('\n').slice(-3).join(' / ')}`)
      return output
    },
    boot: async () => {
      const nspawn = shell.start([
        'sh',
        'test/install/boot.sh',
        root.path,
        name,
        `--bind=${root.archives}:/var/cache/apt/archives`,
      ])
      const leader = await eventually(async () => leaderBelow(nspawn.pid), 'the machine boots')
      running = { nspawn, leader }
      await eventually(async () => {
        const { output } = await machine.run('systemctl is-system-running || :')
        return BOOTED.includes(output.trim()) || undefined
      }, 'the machine has booted')
    },
    kill: async () => {
      if (running === undefined) return
      const { nspawn, leader } = running
      const ended = once(nspawn, 'exit')
      process.kill(leader, 'SIGKILL')
      await ended
      running = undefined
      const groups = ['', 'unified/', 'systemd/'].map((tree) => `/sys/fs/cgroup/${tree}${name}`)
      const left = [...groups, `/run/systemd/nspawn/propagate/${name}`].filter((path) => existsSync(path))
      await shell.run(['find', ...left, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', ';'])
    },
  }
  return machine
}
