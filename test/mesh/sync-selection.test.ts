import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { selectForSync } from '../../lib/mesh/sync-selection.ts'
import type { RouteSource } from '../../lib/route/record.ts'
import { routeRecord } from '../helpers/samples.ts'

const test = suite('sync selection')

const droplet = (dropletName: string) => ({
  dropletName,
  domain: `${dropletName}.example.com`,
  upstream_host: 'localhost',
  upstream_port: 8001,
})
const answer = (names: readonly string[], ambiguous: readonly string[] = []) => ({
  routes: names.map(droplet),
  skipped: [],
  ambiguous,
})
const routesOf = (names: readonly string[], source: RouteSource = 'registry') =>
  new Map(
    names.map((name) => [
      name,
      {
        record: routeRecord({ droplet_name: name, source }),
        revision: name,
        digest: '',
        drifted: false,
        enabled: true,
        text: '',
      },
    ]),
  )
const PRUNE = { prune: true, confirm: undefined }

test('a droplet without a route, or with one that a sync made, is wanted; one that a call made is skipped', () => {
  const routes = new Map([...routesOf(['synced']), ...routesOf(['called'], 'api')])
  const { wanted, skipped, orphaned } = selectForSync(answer(['new', 'synced', 'called']), routes, PRUNE)
  assert.equal(
    wanted.map(({ dropletName }) => dropletName),
    ['new', 'synced'],
  )
  assert.equal(skipped, [{ name: 'called', reason: 'the route is managed through the API' }])
  assert.equal(orphaned, [])
})

test('a synced route that the Registry no longer has is orphaned, and deleted at its revision if pruning is on', () => {
  const routes = new Map([...routesOf(['gone', 'broken', 'here']), ...routesOf(['called'], 'api')])
  const listed = answer(['here'], ['broken'])
  assert.equal(selectForSync(listed, routes, PRUNE).deletions, [
    { kind: 'delete', dropletName: 'gone', precondition: { ifMatch: ['gone'] } },
  ])
  const kept = selectForSync(listed, routes, { ...PRUNE, prune: false })
  assert.equal([kept.orphaned, kept.deletions], [['gone'], []])
})

test('an empty list deletes nothing', () => {
  const { orphaned, deletions, unconfirmed } = selectForSync(answer([]), routesOf(['a', 'b', 'c']), PRUNE)
  assert.equal([orphaned.length, deletions, unconfirmed], [3, [], undefined])
})

for (const [routes, gone, isAllowed] of [
  [3, 2, true],
  [4, 3, false],
  [15, 3, true],
  [20, 4, true],
  [20, 5, false],
] as const) {
  test(`${gone} of ${routes} synced routes are ${isAllowed ? 'deleted' : 'not deleted without their number'}`, () => {
    const names = Array.from({ length: routes }, (_, i) => `app-${i}`)
    const select = (confirm: number | undefined) =>
      selectForSync(answer(names.slice(gone)), routesOf(names), { prune: true, confirm }).unconfirmed
    assert.is(select(undefined)?.code, isAllowed ? undefined : 'BLAST_RADIUS')
    assert.is(select(gone), undefined)
    assert.is(select(gone - 1)?.code, isAllowed ? undefined : 'BLAST_RADIUS')
  })
}

test.run()
