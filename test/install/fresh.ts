/** The first steps of the README on a bare Debian with its own npm. */
import type { Report } from './report.ts'
import { openRoot, type Place, type Root } from './root.ts'
import { expect, type Shell } from './shell.ts'

/** @throws at the first step that fails, after it has been reported */
export async function tryFreshMachine(
  shell: Shell,
  report: Report,
  place: Place,
  release: string,
  user: string,
): Promise<void> {
  const name = `fresh-${release}-${user}`
  const machine = `bare ${release}, as ${user === 'root' ? 'root' : 'a user'}`
  const step = (what: string, attempt: () => Promise<string | undefined>) => report.step(machine, what, attempt)
  const root = await openRoot(shell, place, release, name, { hasNpm: true })
  await step("Debian's own npm", async () => {
    if (user !== 'root') await root.script('root', `useradd --create-home --shell /bin/bash ${user}`)
    await root.placeClone(user)
    const versions = await root.script(user, 'echo npm $(npm --version), Node $(node --version)')
    return versions.trim()
  })
  await step('without a network, `npm run sandbox` fails and says why', async () => {
    const { status, output } = await inClone(root, user, 'npm_config_fetch_retries=0 npm run sandbox -- --once', true)
    expect(status !== 0, 'it succeeded')
    expect(/EAI_AGAIN|ENOTFOUND|network/i.test(output), `it said: ${output.slice(-200)}`)
    return undefined
  })
  await step('`setup.sh`, killed in the middle', async () => {
    const { status } = await inClone(root, user, 'exec timeout -s KILL 6 sh fixtures/setup.sh')
    return status === 137 ? undefined : `ended before that, with ${status}`
  })
  await step('`setup.sh`', async () => {
    const first = await inClone(root, user, 'sh fixtures/setup.sh')
    if (user === 'root') {
      expect(first.status === 0, `exit status ${first.status}: ${first.output.slice(-300)}`)
      return undefined
    }
    const command = /^setup: {3}(apt-get update .*)$/m.exec(first.output)?.[1]
    expect(first.status !== 0 && command !== undefined, `no command for root in: ${first.output.slice(-300)}`)
    await root.script(
      'root',
      `printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d; ${command}`,
    )
    await must(root, user, 'sh fixtures/setup.sh')
    return 'after the command that it names for root'
  })
  await step('`npm run sandbox`, without a network from here on', async () => {
    await must(root, user, 'npm run sandbox -- --once', true)
    return undefined
  })
  await step('`npm start` answers', async () => {
    const isRoot = user === 'root'
    const answer = await must(
      root,
      user,
      `${isRoot ? 'nginx;' : ''} npm start >/tmp/log 2>&1 & curl -s --retry 30 --retry-delay 1 --retry-connrefused http://127.0.0.1:8100/health || cat /tmp/log`,
      true,
    )
    expect(/"status"/.test(answer), answer.slice(-200))
    return undefined
  })
  // As root they are part of every other run.
  if (user === 'root') return
  await step('`npm test`', async () => {
    const output = await must(root, user, 'npm test', true)
    return /^(\d+ passed, 0 failed)$/m.exec(output)?.[1] ?? output.slice(-100)
  })
}

async function inClone(root: Root, user: string, command: string, isOffline = false) {
  return await root.enter(user, ['sh', '-c', `cd proxy-manager && ${command}`], { isOffline })
}

async function must(root: Root, user: string, command: string, isOffline = false): Promise<string> {
  const { status, output } = await inClone(root, user, command, isOffline)
  expect(status === 0, `exit status ${status}: ${output.trim().split('\n').slice(-3).join(' / ')}`)
  return output
}
