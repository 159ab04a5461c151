import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../fixtures/deps.ts'
import { effectJournal } from '../fixtures/effects.ts'
import { type Disk, memoryFiles } from '../fixtures/memory-files.ts'
import type { Files } from '../lib/adapters/files.ts'
import { type Environment, settleStateFolder } from '../lib/open-host.ts'
import { parseSettings } from '../lib/settings/parse-settings.ts'
import type { Settings } from '../lib/settings/settings.ts'

const test = suite('open-host: the state directory')

const DEFAULT = '/var/lib/proxy-manager'

/** Settles the state directory on a disk on which creating anything in these directories fails. */
async function settle(environment: Environment, failures: Readonly<Record<string, string>>) {
  const disk: Disk = new Map()
  const files: Files = {
    ...memoryFiles(disk, effectJournal()),
    makeFolder: async (path) => {
      const [, code] = Object.entries(failures).find(([folder]) => path.startsWith(folder)) ?? []
      if (code !== undefined) throw Object.assign(new Error(`${code}: mkdir '${path}'`), { code })
      disk.set(path, { kind: 'folder' })
    },
  }
  const settled = await settleStateFolder(settings(environment), environment, { ...(await fakeDeps()).host, files })
  return {
    folder: 'fault' in settled ? undefined : settled.PROXY_MANAGER_STATE_DIR,
    fault: 'fault' in settled ? settled : undefined,
    made: [...disk].flatMap(([path, { kind }]) => (kind === 'folder' && path.endsWith('/proxy-manager') ? [path] : [])),
  }
}

function settings(environment: Environment): Settings {
  const parsed = parseSettings(environment, () => ({ failure: 'ENOENT' }))
  if ('faults' in parsed) throw new Error(parsed.faults.join('; '))
  return parsed
}

test('the default one is used if it can be created', async () => {
  const { folder, made } = await settle({ HOME: '/home/ops' }, {})
  assert.equal([folder, made], [DEFAULT, [DEFAULT]])
})

for (const code of ['EACCES', 'EPERM'])
  test(`the user's own one is used if this user cannot create the default one (${code})`, async () => {
    for (const [environment, own] of [
      [{ HOME: '/home/ops' }, '/home/ops/.local/state/proxy-manager'],
      [{ HOME: '/home/ops', XDG_STATE_HOME: '/srv/state' }, '/srv/state/proxy-manager'],
      [{ HOME: '/home/ops', XDG_STATE_HOME: '' }, '/home/ops/.local/state/proxy-manager'],
      [{ HOME: '/home/ops', PROXY_MANAGER_STATE_DIR: '' }, '/home/ops/.local/state/proxy-manager'],
    ] as const) {
      const { folder, made } = await settle(environment, { [DEFAULT]: code })
      assert.equal([folder, made], [own, [own]])
    }
  })

for (const code of ['EROFS', 'ENOSPC', 'EDQUOT', 'EIO', 'EMFILE', 'ENFILE', 'ENOMEM'])
  test(`a disk fault at the default one (${code}) is a failure, not a reason for another directory`, async () => {
    const { fault, made } = await settle({ HOME: '/home/ops' }, { [DEFAULT]: code })
    assert.equal(made, [])
    assert.equal(fault, {
      fault: `PROXY_MANAGER_STATE_DIR: ${DEFAULT} cannot be used (${code}: mkdir '${DEFAULT}')`,
      isTransient: true,
    })
  })

test('a default one that cannot be created for another reason is a failure', async () => {
  for (const code of ['ENOENT', 'ENOTDIR', 'EEXIST', 'ELOOP']) {
    const { fault, made } = await settle({ HOME: '/home/ops' }, { [DEFAULT]: code })
    assert.equal([fault?.isTransient, made], [false, []], code)
  }
})

test('a configured directory is never replaced by another', async () => {
  const { fault, made } = await settle({ HOME: '/home/ops', PROXY_MANAGER_STATE_DIR: '/srv/pm' }, { '/srv': 'EACCES' })
  assert.equal(made, [])
  assert.equal(fault, {
    fault: "PROXY_MANAGER_STATE_DIR: /srv/pm cannot be used (EACCES: mkdir '/srv/pm')",
    isTransient: false,
  })
})

test('if this user has no possible directory, the last reason is reported', async () => {
  assert.equal((await settle({}, { [DEFAULT]: 'EACCES' })).fault?.isTransient, false)
  const { fault } = await settle({ HOME: '/home/ops' }, { [DEFAULT]: 'EACCES', '/home': 'EROFS' })
  assert.is(fault?.isTransient, true)
  assert.match(fault?.fault ?? '', "EROFS: mkdir '/home/ops/.local/state/proxy-manager'")
})

test.run()
