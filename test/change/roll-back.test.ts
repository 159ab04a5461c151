import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { assertSettled, contentsOf, PORT_TAKEN, refusal, textAt } from '../helpers/arrange.ts'
import { assertEventsMatch, put, restarted, routeFilesOf, servedPort, worldWithRoute } from '../helpers/world.ts'

const AVAILABLE = '/etc/nginx/sites-available'
const STATE = '/var/lib/proxy-manager'

const test = suite('roll-back')

test('if the rollback fails too, the state is degraded and health says so; the next change completes the rollback', async () => {
  const deps = await worldWithRoute()
  const routes = routeFilesOf(deps)
  deps.nginx.refuseReload = PORT_TAKEN
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  assert.is(error.details.state, 'degraded')
  assert.is(error.details.remedy, 'Fix the cause; the rollback is tried again every 10 s')
  assert.ok(deps.disk.has(`${STATE}/journal`))
  assert.equal(routeFilesOf(deps), routes)
  assert.is(servedPort(deps, 'old.example.com'), 8001)
  const unhealthy = await deps.engine.readHealth()
  assert.is(unhealthy.status, 'unhealthy')
  assert.ok(
    unhealthy.reasons.includes(
      'a change failed and could not be undone; it is tried again every 10 s, by the next call and by a restart',
    ),
    unhealthy.reasons.join('; '),
  )

  deps.nginx.refuseReload = undefined
  const started = deps.clock.monotonicMs()
  const changed = await put(deps, 'next', 'next.example.com', 8009)
  assert.is(changed.outcome, 'created')
  assert.ok(deps.clock.monotonicMs() - started < 1000, `it took ${deps.clock.monotonicMs() - started} ms`)
  assert.is(servedPort(deps, 'next.example.com'), 8009)
  assert.is(servedPort(deps, 'app.example.com'), undefined)
  assert.is((await deps.engine.readHealth()).status, 'healthy')
  await assertSettled(deps)
})

test('a change that was answered as failed is not completed later, even if NGINX has loaded it', async () => {
  const deps = await worldWithRoute()
  const { files } = deps.host
  const { append, remove, rename } = files
  const refuse = async (path: string) => {
    throw Object.assign(new Error('EROFS'), { code: 'EROFS', path })
  }
  // The disk turns read-only once the change is served: its events cannot be written, nor the previous files restored.
  files.append = async (path, text) => {
    if (!path.includes('/events/')) return await append(path, text)
    Object.assign(files, { append: refuse, remove: refuse, rename: refuse })
    await refuse(path)
  }
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'CONFIG_WRITE_FAILED')
  assert.is(error.details.state, 'degraded')
  Object.assign(files, { append, remove, rename })
  await put(deps, 'next', 'next.example.com', 8009)
  assert.is(servedPort(deps, 'app.example.com'), undefined)
  assert.is(servedPort(deps, 'next.example.com'), 8009)
  await assertSettled(deps)
})

test('a change whose journal cannot be removed succeeds once its events are written, and a restart keeps it', async () => {
  const deps = await worldWithRoute()
  const { remove } = deps.host.files
  deps.host.files.remove = async (path) => {
    if (path === `${STATE}/journal`) throw Object.assign(new Error('EROFS'), { code: 'EROFS', path })
    await remove(path)
  }
  assert.is((await put(deps, 'app', 'app.example.com', 8002)).outcome, 'created')
  await deps.engine.idle()
  const next = await restarted(deps)
  assert.is(servedPort(next, 'app.example.com'), 8002)
  assertEventsMatch(next)
  await assertSettled(next)
})

test('a change whose journal is removed succeeds, even if the directory of the journal cannot be synced', async () => {
  const deps = await worldWithRoute()
  const { syncFolder } = deps.host.files
  deps.host.files.syncFolder = async (path) => {
    if (path === STATE && !deps.disk.has(`${STATE}/journal`))
      throw Object.assign(new Error('EIO'), { code: 'EIO', path })
    await syncFolder(path)
  }
  assert.is((await put(deps, 'app', 'app.example.com', 8002)).outcome, 'created')
  assert.is(servedPort(deps, 'app.example.com'), 8002)
  await assertSettled(deps)
})

test('while the fault lasts, every further change is refused as degraded and writes nothing', async () => {
  const deps = await worldWithRoute()
  deps.nginx.refuseReload = PORT_TAKEN
  await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_RELOAD_FAILED')
  const error = await refusal(put(deps, 'next', 'next.example.com', 8009), 'NGINX_RELOAD_FAILED')
  assert.equal([error.details.stage, error.details.state], ['restore', 'degraded'])
  assert.is(textAt(deps.disk, `${AVAILABLE}/fpai-next.conf`), undefined)
  assert.is(servedPort(deps, 'old.example.com'), 8001)
})

test('on a full disk CONFIG_WRITE_FAILED names errno, file and remedy, and the next change works', async () => {
  const deps = await worldWithRoute()
  const routes = routeFilesOf(deps)
  const { files } = deps.host
  const write = files.write
  files.write = async (path, text, mode) => {
    if (path.startsWith(AVAILABLE)) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', path })
    await write(path, text, mode)
  }
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'CONFIG_WRITE_FAILED')
  assert.equal(error.details, {
    stage: 'write',
    state: 'unchanged',
    culprit: 'host',
    retryable: true,
    errno: 'ENOSPC',
    file: '.000-proxy-manager.conf.pm-tmp',
    remedy: 'The disk is full: free some space, then call again',
  })
  assert.equal(routeFilesOf(deps), routes)
  assert.is(deps.nginx.reloads, 1)
  files.write = write
  await put(deps, 'app', 'app.example.com', 8002)
  await assertSettled(deps)
})

test('a state directory that cannot be written is reported as a disk fault, not as a broken configuration', async () => {
  const deps = await worldWithRoute()
  const before = contentsOf(deps.disk)
  const { files } = deps.host
  const { writeUnsynced } = files
  files.writeUnsynced = async (path, text, mode) => {
    if (path.startsWith(`${STATE}/staging/`)) throw Object.assign(new Error('EROFS'), { code: 'EROFS', path })
    await writeUnsynced(path, text, mode)
  }
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'CONFIG_WRITE_FAILED')
  assert.equal([error.details.errno, error.details.state], ['EROFS', 'unchanged'])
  assert.equal(contentsOf(deps.disk), before)
})

test.run()
