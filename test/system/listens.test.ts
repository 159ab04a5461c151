import { readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../../fixtures/free-port.ts'
import { call, putRoute, startHost, through } from '../helpers/system/host.ts'

const test = suite('what the host listens on')

/** What a visitor at this address gets. */
function textAt(address: string, port: number, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const visit = request({ host: address, port, headers: { host }, agent: false }, (answer) => {
      answer.setEncoding('utf8')
      let text = ''
      answer.on('data', (piece: string) => {
        text += piece
      })
      answer.on('end', () => resolve(text))
    })
    visit.on('error', reject)
    visit.end()
  })
}

test('if the blocks of the host name only one address, a route is served on it, also after NGINX restarts', async () => {
  const httpPort = await freePort()
  const http = `server { listen 127.0.0.9:${httpPort}; server_name panel.example.org; return 204; }`
  const host = await startHost({ daemon: true, httpPort, http })
  try {
    const droplet = await host.droplet('one')
    const created = await putRoute(host.manager, 'app', 'app.example.com', droplet.port)
    assert.is(created.status, 201, JSON.stringify(created.body))
    assert.is(await textAt('127.0.0.9', httpPort, 'app.example.com'), 'one')
    await host.nginx.stop()
    await host.nginx.start()
    const again = await putRoute(host.manager, 'app', 'app.example.com', droplet.port)
    // Nobody knows which files the new workers have read.
    assert.equal([again.status, again.body.receipt?.reloaded], [200, true], JSON.stringify(again.body))
  } finally {
    await host.close()
  }
})

test('a listener with proxy_protocol is proved, and keeps its protocol', async () => {
  const httpPort = await freePort()
  const http = `server { listen ${httpPort} proxy_protocol default_server; return 204; }`
  const host = await startHost({ daemon: true, httpPort, http })
  try {
    const droplet = await host.droplet('one')
    const created = await putRoute(host.manager, 'app', 'app.example.com', droplet.port)
    assert.is(created.status, 201, JSON.stringify(created.body))
    assert.is(created.body.receipt?.proved_by, 'generation_probe')
    const file = readFileSync(join(host.nginx.sitesAvailable, 'fpai-app.conf'), 'utf8')
    assert.match(file, new RegExp(`listen ${httpPort} proxy_protocol;`))
  } finally {
    await host.close()
  }
})

test('if another process holds the HTTPS port, a certificate is not ordered', async () => {
  const host = await startHost({ daemon: true })
  const holder = createServer()
  await new Promise<void>((resolve) => {
    holder.listen(host.nginx.httpsPort, '127.0.0.1', resolve)
  })
  try {
    const droplet = await host.droplet('one')
    const body = { domain: 'app.example.com', upstream_port: droplet.port, enable_ssl: true }
    assert.is((await call(host.manager, 'PUT', '/proxies/app', body)).status, 202)
    const refused = await call(host.manager, 'POST', '/proxies/app/ssl')
    assert.equal([refused.status, refused.body.error?.details.reason], [503, 'port_taken'])
    assert.is(await through(host.nginx.httpPort, 'app.example.com'), 'one')
  } finally {
    holder.close()
    await host.close()
  }
})

test('a damaged file that NGINX has read is repaired at a start, and served', async () => {
  const host = await startHost({ daemon: true })
  try {
    const droplet = await host.droplet('one')
    await putRoute(host.manager, 'app', 'app.example.com', droplet.port)
    // The copy of a proved file is saved after the answer, before the next change.
    await putRoute(host.manager, 'next', 'next.example.com', droplet.port)
    await host.manager.end('SIGKILL')
    await host.nginx.stop()
    writeFileSync(join(host.nginx.sitesAvailable, 'fpai-app.conf'), '')
    await host.nginx.start()
    await host.restart('SIGKILL')
    assert.is(await through(host.nginx.httpPort, 'app.example.com'), 'one')
  } finally {
    await host.close()
  }
})

test.run()
