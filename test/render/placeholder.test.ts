import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readKept, renderPlaceholder } from '../../lib/render/placeholder.ts'
import { renderRouteFile } from '../../lib/render/route-file.ts'
import { DEFAULT_OPTIONS } from '../../lib/route/options.ts'
import { context, routeRecord } from '../helpers/samples.ts'

const test = suite('placeholder')

const certificate = {
  issuer: 'CN=Test CA',
  not_before: '2026-01-01T00:00:00.000Z',
  expiry: '2026-04-01T00:00:00.000Z',
  domains: ['app.example.com', 'www.example.com'],
  serial: '0a',
  fingerprint_sha256: 'ab'.repeat(32),
}
const secured = renderRouteFile(
  routeRecord({ certificate, options: { ...DEFAULT_OPTIONS, aliases: ['later.example.com', 'www.example.com'] } }),
  context,
)
const plain = renderRouteFile(routeRecord({ droplet_name: 'b', domain: 'b.example.com' }), context)

test("only the names of a route's server blocks, and their addresses, are kept", () => {
  const http = { listens: '    listen 80;\n    listen [::]:80;\n', isSecure: false }
  assert.equal(readKept(secured).servers, [
    { ...http, names: '    server_name app.example.com;\n' },
    { ...http, names: '    server_name www.example.com;\n' },
    { ...http, names: '    server_name later.example.com;\n' },
    {
      listens: '    listen 443 ssl http2;\n    listen [::]:443 ssl http2;\n',
      names: '    server_name app.example.com www.example.com;\n',
      isSecure: true,
    },
  ])
  assert.equal(readKept(plain).servers, [{ ...http, names: '    server_name b.example.com;\n' }])
})

test('server blocks with the same addresses become one, and handshakes are refused in place of certificates', () => {
  assert.fixture(
    renderPlaceholder([secured, plain].map(readKept)),
    `server {
    listen 80;
    listen [::]:80;
    server_name app.example.com;
    server_name www.example.com;
    server_name later.example.com;
    server_name b.example.com;
}
server {
    listen 443 ssl http2;
    listen [::]:443 ssl http2;
    ssl_reject_handshake on;
    server_name app.example.com www.example.com;
}
`,
  )
  assert.is(renderPlaceholder([]), '')
})

test.run()
