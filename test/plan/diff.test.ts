import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { describeChange } from '../../lib/plan/diff.ts'

const test = suite('diff')

const path = '/etc/nginx/sites-available/fpai-a.conf'

test('a created, changed or deleted file is shown as a unified diff', () => {
  assert.equal(describeChange({ path, before: { text: 'a\nb\n' }, after: { text: 'a\nc\n' } }), {
    path,
    action: 'replace',
    diff: `Index: ${path}
===================================================================
--- ${path}
+++ ${path}
@@ -1,2 +1,2 @@
 a
-b
+c
`,
  })
  const created = describeChange({ path, before: null, after: { text: 'a\n' } })
  assert.is(created.action, 'create')
  assert.match(created.diff, `--- /dev/null\n+++ ${path}\n@@ -0,0 +1,1 @@\n+a\n`)
  const deleted = describeChange({ path, before: { text: 'a\n' }, after: null })
  assert.is(deleted.action, 'delete')
  assert.match(deleted.diff, `--- ${path}\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-a\n`)
})

test('a symlink is shown as one line with its target', () => {
  const { diff, action } = describeChange({ path, before: { linkTo: '/old' }, after: { linkTo: '/new' } })
  assert.is(action, 'replace')
  assert.match(diff, '-symlink to /old\n+symlink to /new\n')
})

test.run()
