/** The root file system of a machine: a bare Debian, and over it what happens to the machine. */
import { existsSync, mkdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { type Ended, expect, type RunOptions, type Shell } from './shell.ts'

/** What a part needs of the machine that it runs on. */
export interface Place {
  /** The clone under test. */
  readonly clone: string
  /** For what is kept between runs: the unpacked releases, packages. */
  readonly cache: string
  /** For what is removed after this run. */
  readonly work: string
}

export interface Root {
  readonly path: string
  /** Directory with the packages that apt-get has downloaded for this release. */
  readonly archives: string
  /** Runs a command in it, as this user, in the user's home. */
  enter(user: string, command: readonly string[], options?: EnterOptions): Promise<Ended>
  /** The same with `sh -ec`. @throws if it fails */
  script(user: string, text: string, options?: EnterOptions): Promise<string>
  /** Puts a copy of the clone into the user's home. */
  placeClone(user: string): Promise<void>
}

export interface EnterOptions extends RunOptions {
  /** Without a network but loopback. */
  readonly isOffline?: boolean
}

/** Unpacks the release if that has not been done yet, bare or with its npm, and opens a machine of that release. */
export async function openRoot(
  shell: Shell,
  place: Place,
  release: string,
  name: string,
  { hasNpm }: { readonly hasNpm: boolean },
): Promise<Root> {
  const bare = join(place.cache, release)
  const base = hasNpm ? `${bare}-npm` : bare
  const archives = join(place.cache, `${release}-packages`)
  const [upper, work, path] = ['upper', 'work', 'root'].map((part) => join(place.work, name, part))
  for (const folder of [`${archives}/partial`, upper, work, path]) mkdirSync(folder ?? '', { recursive: true })
  await shell.mustRun(['sh', 'test/releases/bootstrap.sh', release, bare], { cwd: place.clone })
  if (!existsSync(base)) {
    const part = `${base}.${basename(place.work)}`
    await shell.mustRun(['cp', '-a', bare, part])
    const command = ['sh', 'test/releases/enter.sh', part, 'root', '/', 'sh', '-ec', install('npm')]
    await shell.mustRun(command, { cwd: place.clone, environment: { BINDS: `${archives}:/var/cache/apt/archives` } })
    await shell.mustRun(['mv', '-T', part, base])
  }
  const layers = `lowerdir=${base},upperdir=${upper},workdir=${work}`
  await shell.mustRun(['mount', '-t', 'overlay', 'overlay', '-o', layers, path ?? ''])
  const root: Root = {
    path: path ?? '',
    archives,
    enter: (user, command, { isOffline = false, environment, ...options } = {}) =>
      shell.run(['sh', 'test/releases/enter.sh', root.path, user, homeOf(user), ...assign(environment), ...command], {
        ...options,
        cwd: place.clone,
        environment: { OFFLINE: isOffline ? '1' : '', BINDS: `${archives}:/var/cache/apt/archives` },
      }),
    script: async (user, text, options) => {
      const { status, output } = await root.enter(user, ['sh', '-ec', text], options)
      expect(status === 0, `exit status ${status}: ${output.trim().split('\n').slice(-3).join(' / ')}`)
      return output
    },
    placeClone: async (user) => {
      const target = `${root.path}${homeOf(user)}/proxy-manager`
      const copy = `mkdir -p "$1" && git -c safe.directory='*' ls-files -z --cached --others --exclude-standard | tar --null -T - -c | tar -x --no-same-owner -C "$1"`
      await shell.mustRun(['sh', '-ec', copy, 'sh', target], { cwd: place.clone })
      await root.script('root', `chown -R ${user}: ${homeOf(user)}`)
    },
  }
  return root
}

export function homeOf(user: string): string {
  return user === 'root' ? '/root' : `/home/${user}`
}

/** Installs packages as quickly as apt-get can. */
export function install(packages: string): string {
  return `DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends ${packages}`
}

function assign(environment: Readonly<Record<string, string>> = {}): readonly string[] {
  const pairs = Object.entries(environment).map(([name, value]) => `${name}=${value}`)
  return pairs.length === 0 ? [] : ['env', ...pairs]
}
