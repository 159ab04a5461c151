import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { hostLock } from '../../../../lib/adapters/lock.ts'
import { runCli } from '../../../helpers/cli.ts'
import { type CliHost, onHost, runProcess } from '../../../helpers/cli-host.ts'

const test = suite<CliHost>('proxy-manager recover')

onHost(test)

test('it removes what a crash left, also before NGINX has started', async ({ root, environment }) => {
  writeFileSync(join(root, 'state', 'journal'), 'torn')
  const { status, out } = await runProcess(['recover'], environment)
  assert.equal([status, out], [0, 'Nothing to recover.\n'])
  assert.equal((await runProcess(['recover', '--json'], environment)).out, '{\n  "undone": []\n}\n')
})

test('exit status 1 if something could not be recovered, with the name of the step', async ({ root, environment }) => {
  const file = { path: join(root, 'sites-available', 'fpai-app.conf'), before: { text: 'former' }, after: null }
  rmSync(join(root, 'sites-available'), { recursive: true })
  writeFileSync(join(root, 'state', 'journal'), `${JSON.stringify({ generation: 1, files: [file] })}\n`)
  const { status, out, err } = await runProcess(['recover'], environment)
  assert.is(status, 1, out + err)
  assert.is(out, 'Could not recover: recover_journal.\n')
  assert.match(err, /"result":"failure"/)
})

test('if the API is running, it only waits until no change is in progress', async ({ root, environment }) => {
  const lock = await hostLock().take(join(root, 'state', 'lock'))
  assert.ok('release' in lock)
  writeFileSync(join(root, 'state', 'journal'), 'a change')
  const ended = runProcess(['recover'], environment)
  const change = setTimeout(() => rmSync(join(root, 'state', 'journal')), 400)
  const { status, out } = await ended
  clearTimeout(change)
  await lock.release()
  assert.equal([status, out], [0, `Nothing to recover (the API is running as process ${process.pid}).\n`])
})

test('exit status 78 with a wrong setting', async () => {
  const { status, err } = await runCli(['recover'], { NGINX_HTTP_PORT: 'x' })
  assert.is(status, 78)
  assert.match(err, /NGINX_HTTP_PORT/)
})

test.run()
