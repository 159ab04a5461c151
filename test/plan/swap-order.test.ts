import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { missingUpstream } from '../../fixtures/fake-nginx.ts'
import type { FileChange, FileImage } from '../../lib/host/file-image.ts'
import type { Change } from '../../lib/plan/change.ts'
import { planBatch } from '../../lib/plan/plan-batch.ts'
import { type SwapStep, swapSteps } from '../../lib/plan/swap-order.ts'
import { DEFAULT_OPTIONS } from '../../lib/route/options.ts'
import type { Snapshot } from '../../lib/snapshot/snapshot.ts'
import { AVAILABLE, after, applied, ENABLED, empty, NOW, put, remove, SHARED } from '../helpers/plans.ts'

const test = suite('swap-order')

type Disk = ReadonlyMap<string, FileImage>

const textAt = (disk: Disk) => (path: string) => {
  const image = disk.get(path)
  return image !== undefined && 'text' in image ? image.text : undefined
}

/** Why NGINX would not start with these files; `undefined` if it would. */
function obstacle(disk: Disk): string | undefined {
  const texts: string[] = []
  for (const [path, image] of disk) {
    if (!path.startsWith(ENABLED)) continue
    const text = 'text' in image ? image.text : textAt(disk)(image.linkTo)
    if (text === undefined) return `${path} is a dangling symlink`
    texts.push(text)
  }
  const all = texts.join('')
  const defined = [...all.matchAll(/^upstream (\S+) \{/gm)].map(([, name]) => name)
  const missing = missingUpstream(all)
  if (missing !== undefined) return `host not found in upstream "${missing}"`
  if (new Set(defined).size < defined.length) return 'duplicate upstream'
  const hasVariables = disk.has(`${ENABLED}/${SHARED}`) || !all.includes('$proxy_manager_')
  return hasVariables ? undefined : 'unknown "proxy_manager_upgrade" variable'
}

function diskOf(snapshot: Snapshot): Disk {
  const disk = new Map<string, FileImage>(snapshot.enabledImages)
  const enabled = [...disk].map(([name, image]) => [`${ENABLED}/${name}`, image] as const)
  const texts = [...snapshot.routes].map(([name, { text }]) => [`${AVAILABLE}/fpai-${name}.conf`, { text }] as const)
  const shared =
    snapshot.shared === undefined ? [] : [[`${AVAILABLE}/${SHARED}`, { text: snapshot.shared.text }] as const]
  return new Map<string, FileImage>([...enabled, ...texts, ...shared])
}

/** The files of the steps, one after another. */
const inTurn = (steps: readonly SwapStep[]) => steps.flatMap((step) => step.files)

function put1(disk: Map<string, FileImage>, { path, after: image }: FileChange): void {
  if (image === null) disk.delete(path)
  else disk.set(path, image)
}

/** Takes the first steps of a swap, then undoes them; NGINX must be able to start after each. */
function assertBootable(before: Snapshot, files: readonly FileChange[]): void {
  const start = diskOf(before)
  const steps = inTurn(swapSteps(files, textAt(start)))
  assert.equal([...steps].map(({ path }) => path).sort(), files.map(({ path }) => path).sort())
  for (let taken = 0; taken <= steps.length; taken++) {
    const disk = new Map(start)
    for (const file of steps.slice(0, taken)) put1(disk, file)
    assert.is(obstacle(disk), undefined, `after ${taken} of ${JSON.stringify(steps.map(({ path }) => path))}`)
    // As after a crash: what has its new image is put back.
    const undone = files
      .filter((file) => steps.slice(0, taken).includes(file))
      .map(({ path, before: to, after: from }) => ({ path, before: from, after: to }))
    for (const file of inTurn(swapSteps(undone, textAt(disk)))) {
      put1(disk, file)
      assert.is(obstacle(disk), undefined, `undoing ${taken}: ${file.path}`)
    }
    assert.equal([...disk].sort(), [...start].sort())
  }
}

const droplet = fc.constantFrom('a', 'b', 'c', 'd')
const change = fc
  .record({
    name: droplet,
    domain: fc.constantFrom('x.example.com', 'y.example.com'),
    path: fc.constantFrom('/', '/api', '/api/v2', '/web'),
    upstream: fc.constantFrom('address', 'name', 'redirect'),
    kind: fc.constantFrom('put', 'put', 'put', 'delete'),
  })
  .map(({ name, domain, path, upstream, kind }): Change => {
    if (kind === 'delete') return remove(name)
    const isRedirect = upstream === 'redirect' && path === '/'
    const options = { ...DEFAULT_OPTIONS, redirect_to: isRedirect ? 'other.example.com' : null }
    const addresses = isRedirect ? [] : upstream === 'name' ? null : ['127.0.0.1']
    return put(name, { domain, ...(path === '/' ? {} : { path }), options }, { upstream: { addresses, resolvers: [] } })
  })
const batch = fc.uniqueArray(change, { selector: ({ dropletName }) => dropletName, minLength: 1, maxLength: 4 })

test('NGINX can start with what is there after every step of any change, and after every step of undoing it', () => {
  const property = fc.property(batch, batch, batch, (...batches) => {
    let before = empty
    for (const [i, changes] of batches.entries()) {
      const plan = planBatch(before, changes, { nextGeneration: i + 1, now: NOW })
      assertBootable(before, plan.files)
      before = applied(before, plan)
    }
  })
  fc.assert(property, { numRuns: 100, includeErrorInReport: true })
})

test('a mount is there before the server blocks that name it, and gone after them', () => {
  const before = after([put('web', { domain: 'x.example.com' })])
  const orderOf = (from: Snapshot, changed: Change) => {
    const { files } = planBatch(from, [changed], { nextGeneration: 9, now: NOW })
    return inTurn(swapSteps(files, textAt(diskOf(from)))).map(({ path }) => path.replace('/etc/nginx/sites-', ''))
  }
  const mount = put('api', { domain: 'x.example.com', path: '/api' })
  assert.equal(orderOf(before, mount), [
    'available/fpai-api.conf',
    'enabled/fpai-api.conf',
    'available/fpai-web.conf',
    `available/${SHARED}`,
  ])
  assert.equal(orderOf(after([mount], before, 2), remove('api')), [
    'available/fpai-web.conf',
    'enabled/fpai-api.conf',
    `available/${SHARED}`,
    'available/fpai-api.conf',
  ])
})

test('the new server blocks of a domain are there before the former ones are gone', () => {
  const before = after([put('api', { domain: 'x.example.com', path: '/api' })])
  const { files } = planBatch(before, [put('web', { domain: 'x.example.com' })], { nextGeneration: 9, now: NOW })
  const paths = inTurn(swapSteps(files, textAt(diskOf(before)))).map(({ path }) => path)
  assert.ok(paths.indexOf(`${ENABLED}/fpai-web.conf`) < paths.indexOf(`${AVAILABLE}/fpai-api.conf`))
})

test.run()
