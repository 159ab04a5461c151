import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ConfigurationTree } from '../../../lib/nginx/config/include.ts'
import { namedFiles, readerOf } from '../../../lib/nginx/config/named-files.ts'
import { memoryTree } from '../../helpers/memory-tree.ts'

const test = suite('named-files')

const MAIN = '/etc/nginx/nginx.conf'
const LIVE = '/etc/letsencrypt/live/app.example.com'

function readerIn(files: Readonly<Record<string, string>>, tree: Partial<ConfigurationTree> = {}) {
  const isSkipped = (path: string) => path.includes('/fpai-')
  const found = readerOf(namedFiles([MAIN], { ...memoryTree(files), ...tree }, isSkipped), [LIVE])
  return found === undefined ? undefined : `${found.file}:${found.line}`
}

test('a file is found in any directive of any block, of any file that is included anywhere', () => {
  for (const text of [
    `http { server { ssl_certificate ${LIVE}/fullchain.pem; } }`,
    `http { ssl_trusted_certificate "${LIVE}/chain.pem"; }`,
    `http { server { location / { root ${LIVE}; } } }`,
    `http { map $ssl_server_name $key { a.example.com ${LIVE}/privkey.pem; } }`,
    `stream { server { ssl_certificate_key ${LIVE}/privkey.pem; } }`,
    `mail { server { ssl_certificate ${LIVE}/cert.pem; } }`,
    'http { ssl_certificate ../letsencrypt/live/app.example.com/cert.pem; }',
  ])
    assert.is(
      readerIn({ [MAIN]: text }, { realPath: (path) => new URL(path, 'file:///').pathname }),
      'nginx.conf:1',
      text,
    )
  const deep = { '/etc/nginx/tls/a.conf': `\nssl_certificate ${LIVE}/cert.pem;` }
  for (const main of [
    'include tls/*.conf;',
    'stream { include /etc/nginx/tls/a.conf; }',
    'http { server { location / { include tls/a.conf; } } }',
  ])
    assert.is(readerIn({ [MAIN]: main, ...deep }), 'a.conf:2', main)
})

test('a path with variables may become any file that fits the rest of it', () => {
  const pathOf = (path: string) => readerIn({ [MAIN]: `http { server { ssl_certificate ${path}; } }` })
  for (const path of [
    '/etc/letsencrypt/live/$ssl_server_name/fullchain.pem',
    `/etc/letsencrypt/live/$${'{ssl_server_name}'}/privkey.pem`,
    '$certificate',
    '$folder/cert.pem',
  ])
    assert.is(pathOf(path), 'nginx.conf:1', path)
  assert.is(pathOf('/etc/ssl/$ssl_server_name.pem'), undefined)
  assert.is(pathOf('data:$certificate'), undefined)
})

test('a symlink outside of it counts as the file that it leads to', () => {
  const files = { [MAIN]: 'http { ssl_certificate tls.pem; }' }
  const realPath = (path: string) => (path === '/etc/nginx/tls.pem' ? `${LIVE}/fullchain.pem` : undefined)
  assert.is(readerIn(files, { realPath }), 'nginx.conf:1')
})

test('other lineages, comments, addresses and skipped files do not count, and a loop of includes ends', () => {
  assert.is(
    readerIn({
      [MAIN]: `include /etc/nginx/*.conf; http { ssl_certificate ${LIVE}-0001/cert.pem; # ${LIVE}/cert.pem
        proxy_pass http://$host$request_uri; return 301 https://$host${LIVE}/; rewrite ^/a$ /b; }`,
      '/etc/nginx/fpai-app.conf': `ssl_certificate ${LIVE}/cert.pem;`,
    }),
    undefined,
  )
})

test.run()
