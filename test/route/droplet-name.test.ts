import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { DropletName } from '../../lib/route/droplet-name.ts'

const test = suite('droplet name')

const faultOf = (name: string) => v.safeParse(DropletName, name).issues?.[0].message

test('a name of the mesh is rejected with the droplet name that a sync would make of it', () => {
  for (const [name, folded] of [
    ['Visibility Deck', 'visibility-deck'],
    ['Visibility%20Deck', 'visibility-deck'],
    ['i.proxy.Manager', 'i-proxy-manager'],
    [' Orders ', 'orders'],
  ])
    assert.match(faultOf(name ?? '') ?? '', `; as a droplet name this is "${folded}"`)
})

test('a name that cannot be made one is rejected without a proposal', () => {
  for (const name of ['', '-', '../etc', 'a%2fb', 'a%zz', 'ä', 'x'.repeat(64), '%00'])
    assert.match(faultOf(name) ?? '', /ending with a letter or digit$/, name)
})

test.run()
