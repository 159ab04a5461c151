import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Access } from '../../lib/adapters/files.ts'
import { webrootFault } from '../../lib/certificates/webroot.ts'

const test = suite('webroot')

const OURS: Access = { kind: 'folder', isOurs: true, mode: 0o755 }

function faultOf(wellKnown: Access | undefined, challenges: Access | undefined): string | undefined {
  const found = new Map([
    ['/web/.well-known', wellKnown],
    ['/web/.well-known/acme-challenge', challenges],
  ])
  const files = { access: (path: string) => found.get(path) }
  return webrootFault(Object.assign(Object.create(null), { files, paths: { webroot: '/web' } }))
}

test('directories of this user or of root, or none, are safe', () => {
  assert.is(faultOf(undefined, undefined), undefined)
  assert.is(faultOf(OURS, undefined), undefined)
  assert.is(faultOf(OURS, OURS), undefined)
  assert.is(faultOf({ ...OURS, mode: 0o700 }, { ...OURS, mode: 0o1755 }), undefined)
})

for (const [what, access] of Object.entries({
  'is a symlink': { ...OURS, kind: 'link', mode: 0o777 },
  'is no directory': { ...OURS, kind: 'file', mode: 0o644 },
  'belongs to another user': { ...OURS, isOurs: false },
  'can be written by other users': { ...OURS, mode: 0o775 },
} as const))
  test(`a directory that ${what} is a fault, at either level`, () => {
    assert.is(faultOf(access, OURS), `.well-known in the webroot ${what}`)
    assert.is(faultOf(OURS, access), `.well-known/acme-challenge in the webroot ${what}`)
  })

test.run()
