import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { assertSettled, textAt, writeAt } from '../helpers/arrange.ts'
import { put, worldWithRoute } from '../helpers/world.ts'

const test = suite('make-live')

test('hand edits in both folders at the same moment are kept, each under a name of its own', async () => {
  const deps = await worldWithRoute()
  const [file, copy] = ['/etc/nginx/sites-available/fpai-old.conf', '/etc/nginx/sites-enabled/fpai-old.conf']
  const edited = `${textAt(deps.disk, file)}# mine\n`
  const text = 'server { listen 80; server_name old.example.com; }\n'
  writeAt(deps.disk, file, edited)
  writeAt(deps.disk, copy, text)
  await put(deps, 'old', 'old.example.com', 8001)
  const backups = [...deps.disk.keys()].filter((path) => path.includes('/backups/fpai-old.conf.'))
  assert.equal(backups.map((path) => textAt(deps.disk, path)).sort(), [edited, text].sort())
  await assertSettled(deps)
})

test.run()
