/** A full disk, and a read-only one: real mounts, for each directory that changes write to and for all of them. */
import { spawnSync } from 'node:child_process'
import { closeSync, cpSync, mkdirSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { call, putRoute, type RealHost, startHost } from '../../helpers/system/host.ts'
import type { Findings } from '../findings.ts'
import { disagreement, leftovers, refusedByNginx, served } from '../host-promises.ts'
import type { FaultsPart } from './bounds.ts'

/** Each a separate mount, below the host's directory. */
const PLACES = ['sites-available', 'sites-enabled', 'state']
/** Symlinks and empty files need only an inode, so the number of these is limited too. */
const SIZE = 'size=512k,nr_inodes=200'
const FILL = Buffer.alloc(4096, 1)

const Health = v.looseObject({ status: v.string(), reasons: v.array(v.string()) })

type How = 'full' | 'read-only'

interface Disk {
  readonly place: string
  readonly folder: string
  /** From now on nothing can be written, until it is reverted. */
  readonly break: (how: How) => void
  readonly repair: (how: How) => void
}

/** The ports of the two droplets. */
interface Ports {
  readonly one: number
  readonly two: number
}

const ERRNO = { full: 'ENOSPC', 'read-only': 'EROFS' } as const

export const disk: FaultsPart = {
  title: 'disks that are full, and disks that are read-only',
  run: async (_bounds, stopped) => {
    const refusal = tryMount()
    if (refusal !== undefined) return { figures: [], violations: [], impossible: refusal }
    return await breakDisks(stopped)
  },
}

/** One host for all places: each way to break one ends with a healthy host. */
async function breakDisks(stopped: AbortSignal): Promise<Findings> {
  const violations: string[] = []
  const disks: Disk[] = []
  let tried = 0
  const host = await startHost()
  try {
    const ports: Ports = { one: (await host.droplet('one')).port, two: (await host.droplet('two')).port }
    await putRoute(host.manager, 'app', 'app.example.com', ports.one)
    await host.manager.end()
    for (const place of PLACES) disks.push(mountOver(place, join(host.nginx.root, place)))
    await host.restart('SIGKILL')
    for (const disk of disks) {
      for (const how of ['full', 'read-only'] as const) {
        stopped.throwIfAborted()
        tried++
        const found = await breakDisk(host, disk, how, ports)
        violations.push(...found.map((word) => `${disk.place}, ${how}: ${word}`))
      }
    }
    return summarize(tried, violations)
  } finally {
    await host.manager.end()
    for (const { folder } of disks) unmount(folder)
    await host.close()
  }
}

async function breakDisk(host: RealHost, disk: Disk, how: How, { one, two }: Ports): Promise<string[]> {
  const found: string[] = []
  const expect = (isSo: boolean, words: string) => {
    if (!isSo) found.push(words)
  }
  const { place } = disk
  await putRoute(host.manager, 'app', 'app.example.com', one)
  // Twice: the second one waits for the cleanup of the first one, and changes nothing.
  for (let i = 0; i < 2; i++) await putRoute(host.manager, 'ready', 'ready.example.com', one)

  let isBroken = true
  disk.break(how)
  try {
    const changes = [await putRoute(host.manager, 'new', 'new.example.com', two)]
    // The symlink of an existing route is not touched: such a change does not write to sites-enabled.
    if (place !== 'sites-enabled') changes.push(await putRoute(host.manager, 'app', 'app.example.com', two))
    for (const { status, body } of changes) {
      const details = body.error?.details
      expect(status === 500 && body.error?.code === 'CONFIG_WRITE_FAILED', `PUT: ${status} ${body.error?.code}`)
      expect(details?.errno === ERRNO[how], `PUT: ${JSON.stringify(details)}`)
      expect(details?.state !== 'degraded' && typeof details?.remedy === 'string', `PUT: ${JSON.stringify(details)}`)
    }
    await expectOld(host, expect, 'meanwhile')
    await expectSick(host, expect, how)

    if (place === 'state' && how === 'read-only') {
      // Without its lock, and without space for a journal, it does not start; the service manager may try again later.
      const refusal = await host.restart('SIGTERM').then(() => 'it starts', String)
      expect(/ended with 75: .*\(EROFS: /.test(refusal), `a start on such a disk: ${refusal}`)
      disk.repair(how)
      isBroken = false
      await host.restart('SIGTERM')
    } else {
      await host.restart('SIGTERM')
      await expectOld(host, expect, 'after a start on such a disk')
      await expectSick(host, expect, how)
    }
  } finally {
    if (isBroken) disk.repair(how)
  }
  const { status, body } = await putRoute(host.manager, 'app', 'app.example.com', two)
  expect(status === 200, `the next PUT: ${status} ${JSON.stringify(body.error)}`)
  expect((await served(host, 'app.example.com')) === 'two', 'the next PUT is not served')
  expect((await health(host)).status !== 'unhealthy', 'health does not recover')
  await putRoute(host.manager, 'ready', 'ready.example.com', one)
  found.push(...leftovers(host.nginx), ...refusedByNginx(host.nginx))
  return found
}

type Expect = (isSo: boolean, words: string) => void

async function expectOld(host: RealHost, expect: Expect, when: string): Promise<void> {
  expect((await served(host, 'app.example.com')) === 'one', `${when} the previous route is not served`)
  expect((await served(host, 'new.example.com')) === 'none', `${when} the refused route is served`)
  const { status } = await call(host.manager, 'GET', '/proxies/app')
  expect(status === 200, `${when} GET answers ${status}`)
  for (const words of await disagreement(host, 'new', 'new.example.com')) expect(false, words)
  for (const words of refusedByNginx(host.nginx)) expect(false, words)
}

async function expectSick(host: RealHost, expect: Expect, how: How): Promise<void> {
  const { status, reasons } = await health(host)
  const isTold = reasons.some(
    (reason) => /cannot be written/.test(reason) && (how === 'read-only' || /ENOSPC/.test(reason)),
  )
  expect(status === 'unhealthy' && isTold, `health says ${status}: ${reasons.join('; ')}`)
}

async function health({ manager }: RealHost) {
  return v.parse(Health, (await call(manager, 'GET', '/proxy-manager/health')).body)
}

function mountOver(place: string, folder: string): Disk {
  const copy = `${folder}.copy`
  cpSync(folder, copy, { recursive: true, verbatimSymlinks: true })
  mount('-t', 'tmpfs', '-o', SIZE, 'none', folder)
  for (const name of readdirSync(copy))
    cpSync(join(copy, name), join(folder, name), { recursive: true, verbatimSymlinks: true })
  rmSync(copy, { recursive: true })
  const filler = join(folder, '.filler')
  return {
    place,
    folder,
    break: (how) => {
      if (how === 'full') fill(filler)
      else {
        // Over itself: the lock's file stays open for writing, as it would on a disk that the kernel turns read-only.
        mount('--bind', folder, folder)
        mount('-o', 'remount,bind,ro', folder)
      }
    },
    repair: (how) => {
      if (how === 'full') rmSync(filler, { recursive: true })
      else unmount(folder)
    },
  }
}

/** Writes until no page and no inode is free. */
function fill(folder: string): void {
  mkdirSync(folder)
  const file = openSync(join(folder, 'pages'), 'w')
  untilFull(() => writeSync(file, FILL))
  closeSync(file)
  let inodes = 0
  untilFull(() => closeSync(openSync(join(folder, String(inodes++)), 'w')))
}

function untilFull(take: () => void): void {
  try {
    for (;;) take()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  }
}

function mount(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('mount', args)
  if (status !== 0) throw new Error(`mount: ${stderr?.toString().trim()}`)
}

function unmount(folder: string): void {
  spawnSync('umount', ['--lazy', folder])
}

/** Why nothing can be mounted here; `undefined` if it can. */
function tryMount(): string | undefined {
  const folder = join('/tmp', `proxy-manager-mount-${process.pid}`)
  mkdirSync(folder)
  try {
    mount('-t', 'tmpfs', '-o', SIZE, 'none', folder)
    unmount(folder)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function summarize(tried: number, violations: readonly string[]): Findings {
  return {
    figures: [
      { what: 'disks broken', value: tried },
      { what: 'broken promises', value: violations.length, atMost: 0 },
    ],
    violations,
  }
}
