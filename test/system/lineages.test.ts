import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fingerprintOf } from '../helpers/system/certificate.ts'
import { call, putRoute } from '../helpers/system/host.ts'
import { type HostWithCa, startHostWithCa } from '../helpers/system/host-with-ca.ts'
import { setUp } from '../helpers/system/set-up.ts'

const test = suite<HostWithCa>('lineages of others')

setUp(test, async (context, undo) => {
  Object.assign(context, await startHostWithCa())
  undo(context.close)
})

test("an operator's lineage is served, and stays as it is through an order, a renewal and a deletion; ours is known by its mark", async (context) => {
  const { host, port } = context
  await putRoute(host.manager, 'mail', 'mail.example.com', port)
  await certbot(context, [
    'certonly',
    '--agree-tos',
    '--email=ops@example.com',
    `--server=${context.pebble.environment.ACME_DIRECTORY_URL}`,
    '--webroot',
    `--webroot-path=${join(host.nginx.root, 'state/acme')}`,
    '--cert-name=mail.example.com',
    '--domain=mail.example.com',
    `--deploy-hook=touch ${join(host.nginx.root, 'reloaded')}`,
  ])
  const theirs = filesOf(context, 'mail.example.com')
  const adopted = await putRoute(host.manager, 'mail', 'mail.example.com', port, { enable_ssl: true })
  assert.is(adopted.body.status, 'active')

  const ordered = []
  for (let orders = 0; orders < 2; orders++) {
    const answer = await call(host.manager, 'POST', '/proxies/mail/ssl', { force_renew: true })
    assert.is(answer.status, 200, JSON.stringify(answer.body))
    ordered.push(fingerprintOf(answer))
  }
  assert.is(new Set([fingerprintOf(adopted), ...ordered]).size, 3)
  assert.equal(lineagesOf(context), ['mail.example.com', 'mail.example.com-0001'])
  // The mark outlasts certbot's own renewal.
  await certbot(context, [
    'renew',
    '--force-renewal',
    '--no-random-sleep-on-renew',
    '--cert-name=mail.example.com-0001',
  ])
  assert.is((await call(host.manager, 'POST', '/proxies/mail/ssl', { force_renew: true })).status, 200)
  assert.equal(lineagesOf(context), ['mail.example.com', 'mail.example.com-0001'])
  assert.equal(filesOf(context, 'mail.example.com'), theirs)

  const deleted = await call(host.manager, 'DELETE', '/proxies/mail?delete_certificate=true')
  assert.equal(
    [deleted.body.certificate_deleted, deleted.body.certificate_kept],
    [false, "certbot's lineage mail.example.com was not made by Proxy Manager"],
  )
  assert.equal(lineagesOf(context), ['mail.example.com'])
  assert.equal(filesOf(context, 'mail.example.com'), theirs)
})

test('plain files that are kept by hand stay, and the order next to them is served', async (context) => {
  const { host, port } = context
  const live = join(host.nginx.root, 'letsencrypt/live/shop.example.com')
  mkdirSync(live, { recursive: true })
  writeFileSync(join(live, 'fullchain.pem'), 'not a certificate')
  await putRoute(host.manager, 'shop', 'shop.example.com', port, { enable_ssl: true })
  const answer = await call(host.manager, 'POST', '/proxies/shop/ssl')
  assert.is(answer.status, 200, JSON.stringify(answer.body))
  assert.is(readFileSync(join(live, 'fullchain.pem'), 'utf8'), 'not a certificate')
  const again = await call(host.manager, 'POST', '/proxies/shop/ssl')
  assert.equal([again.body.ordered, fingerprintOf(again)], [false, fingerprintOf(answer)])
})

test.run()

/** certbot as an operator runs it on this host. */
async function certbot({ host: { nginx }, pebble }: HostWithCa, args: readonly string[]): Promise<void> {
  const { root } = nginx
  const folders = [`--config-dir=${root}/letsencrypt`, `--work-dir=${root}/work`, `--logs-dir=${root}/certbot-logs`]
  await promisify(execFile)('/usr/bin/certbot', [...args, '--non-interactive', ...folders], {
    env: { ...process.env, REQUESTS_CA_BUNDLE: pebble.caBundle },
  })
}

function lineagesOf({ host: { nginx } }: HostWithCa): readonly string[] {
  return readdirSync(join(nginx.root, 'letsencrypt/renewal'))
    .map((name) => name.replace(/\.conf$/, ''))
    .sort()
}

/** Every file of a lineage: its path, and its bytes. */
function filesOf({ host: { nginx } }: HostWithCa, name: string): readonly (readonly [string, string])[] {
  const folder = join(nginx.root, 'letsencrypt')
  const paths = ['live', 'archive'].flatMap((kind) =>
    readdirSync(join(folder, kind, name)).map((file) => join(folder, kind, name, file)),
  )
  return [join(folder, 'renewal', `${name}.conf`), ...paths].map((path) => [path, readFileSync(path, 'utf8')])
}
