/** What is on disk at every instant of an adoption, and of its rollback: NGINX may be started at any of them. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type FakeDeps, fakeDeps } from '../../fixtures/deps.ts'
import { enabledTexts } from '../../fixtures/fake-nginx.ts'
import { PORT_TAKEN, refuseNextReload, textAt, writeAt } from '../helpers/arrange.ts'
import { adopt, putSite } from '../helpers/sweeps.ts'
import { assertInvariant, restarted, worldWithRoute } from '../helpers/world.ts'

const test = suite('adoption of a site, instant by instant')

interface Scene {
  readonly prepare: () => Promise<FakeDeps>
  /** Whether a name may be served by nobody for an instant. */
  readonly hasGap?: true
}

const SCENES: Readonly<Record<string, Scene>> = {
  'a site': {
    prepare: async () => {
      const deps = await worldWithRoute()
      putSite(deps, { isLinked: true })
      return deps
    },
  },
  'a site on a host without routes': {
    prepare: async () => {
      const deps = await fakeDeps()
      putSite(deps, { isLinked: true })
      return deps
    },
  },
  'a default server on a host without routes': {
    hasGap: true,
    prepare: async () => {
      const deps = await fakeDeps()
      putSite(deps, { isLinked: true, listen: '80 default_server' })
      return deps
    },
  },
  'a site with an upstream of the name that a route would use': {
    hasGap: true,
    prepare: async () => {
      const deps = await worldWithRoute()
      putSite(deps, { isLinked: true })
      const file = '/etc/nginx/sites-available/shop'
      const text = textAt(deps.disk, file)?.replace('http://127.0.0.1:8002', 'http://fpai_shop') ?? ''
      writeAt(deps.disk, file, `upstream fpai_shop { server 127.0.0.1:8002; }\n${text}`)
      deps.nginx.loaded = enabledTexts(deps.disk)
      return deps
    },
  },
}

/** Runs an adoption that stops hard after each of its effects in turn. */
async function stopped({ prepare }: Scene, arrange: (deps: FakeDeps) => void, at: number): Promise<FakeDeps> {
  const deps = await prepare()
  arrange(deps)
  deps.effects.arrange({ at, kind: 'stop_after' })
  await Promise.race([adopt(deps).catch(() => undefined), deps.effects.stopped])
  return deps
}

async function effectsOf({ prepare }: Scene, arrange: (deps: FakeDeps) => void): Promise<number> {
  const deps = await prepare()
  arrange(deps)
  const before = deps.effects.journal.length
  await adopt(deps).catch(() => undefined)
  return deps.effects.journal.length - before
}

/** NGINX accepts it, and every name of the site is served. */
function assertBootable({ disk }: FakeDeps, hasGap: boolean): void {
  const all = [...enabledTexts(disk).values()].join('\n')
  const upstreams = [...all.matchAll(/^upstream (\S+)/gm)].map(([, name]) => name)
  assert.is(new Set(upstreams).size, upstreams.length, 'two upstreams have one name')
  const defaults = [...all.matchAll(/listen (\S+) default_server;/g)].map(([, address]) => address)
  const ofOneFile = [...enabledTexts(disk).values()].filter((text) => text.includes('80 default_server'))
  assert.ok(ofOneFile.length <= 1, `two files have a default server: ${defaults}`)
  if (hasGap) return
  for (const name of ['shop', 'api', 'www']) assert.match(all, `server_name ${name}.example.com;`)
}

for (const [what, scene] of Object.entries(SCENES)) {
  for (const [end, arrange] of [
    ['succeeds', () => undefined],
    ['is refused by the master', (deps: FakeDeps) => refuseNextReload(deps, PORT_TAKEN)],
  ] as const) {
    test(`${what}: NGINX could be started at every instant of an adoption that ${end}`, async () => {
      const count = await effectsOf(scene, arrange)
      assert.ok(count > 50)
      for (let at = 0; at < count; at++) {
        const deps = await stopped(scene, arrange, at)
        assertBootable(deps, scene.hasGap === true)
        // The sweep restarts after each effect of one that succeeds.
        if (end === 'succeeds') continue
        deps.nginx.refuseReload = undefined
        const again = await restarted(deps)
        assertBootable(again, false)
        assertInvariant(again)
      }
    })
  }
}

test.run()
