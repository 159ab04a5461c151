import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { withAnswer } from '../../../helpers/cli.ts'

const test = suite('proxy-manager sites and adopt')

const FINDING = {
  file: 'sites-enabled/shop',
  line: 4,
  directive: 'auth_basic Private',
  text: 'a route has no option for it',
}
const SITE = {
  file: 'sites-enabled/shop',
  verdict: 'refused',
  servers: [{ line: 1, names: ['shop.example.com', 'www.shop.example.com'], listens: ['80'] }],
  routes: [],
  differences: [],
  refusals: [FINDING],
}

test('sites lists the files with their verdicts, and each directive that is refused or differs', async () => {
  await withAnswer({ body: { sites: [SITE] } }, async ({ cli }, seen) => {
    const { status, out } = await cli('sites')
    assert.is(status, 0)
    assert.equal(out.split('\n'), [
      'FILE                VERDICT  NAMES',
      'sites-enabled/shop  refused  shop.example.com www.shop.example.com',
      'sites-enabled/shop:4  auth_basic Private: a route has no option for it (refused)',
      '',
    ])
    assert.equal([seen[0]?.method, seen[0]?.url], ['GET', '/host/sites'])
  })
  await withAnswer({ body: { sites: [] } }, async ({ cli }) => {
    assert.is((await cli('sites')).out, 'No hand-written sites found.\n')
  })
})

test('adopt sends the file as it is named, with the chosen names', async () => {
  const routes = [{ droplet_name: 'shop', domain: 'shop.example.com' }]
  await withAnswer({ body: { file: SITE.file, routes, differences: [] } }, async ({ cli }, seen) => {
    const { status, out } = await cli('adopt', SITE.file, '--accept-differences', '--name', 'shop.example.com=shop')
    assert.is(status, 0)
    assert.is(out, 'sites-enabled/shop is adopted.\n\nNAME  DOMAIN\nshop  shop.example.com\n')
    assert.equal(seen[0]?.body, {
      file: SITE.file,
      droplet_names: { 'shop.example.com': 'shop' },
      accept_differences: true,
    })
    assert.is((await cli('adopt', SITE.file, '--name', 'shop')).status, 2)
  })
})

test('adopt --dry-run shows the differences and the plan; exit status 1 if NGINX rejects it', async () => {
  const plan = {
    changes: [{ path: '/etc/nginx/sites-enabled/shop', action: 'delete', diff: '' }],
    nginx_test: { ok: false, output: 'no' },
  }
  await withAnswer({ body: { differences: [FINDING], plan } }, async ({ cli }, seen) => {
    const { status, out } = await cli('adopt', SITE.file, '--dry-run')
    assert.is(status, 1)
    assert.match(out, 'sites-enabled/shop:4  auth_basic Private')
    assert.is(seen[0]?.url, '/host/sites/adopt?dry_run=true')
  })
})

test.run()
