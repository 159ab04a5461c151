/** Hand-written sites in the forms that are public, each with its verdict: fixtures/sites. */
import { readdirSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { routeFileName } from '../../lib/route/droplet-name.ts'
import type { Finding } from '../../lib/sites/findings.ts'
import { type JudgedSite, judgeSite } from '../../lib/sites/judge.ts'
import { readSites } from '../../lib/sites/site-files.ts'
import { debianFiles, fixture, memoryTree } from '../helpers/memory-tree.ts'

const test = suite('forms of hand-written sites')

const MAIN = '/etc/nginx/nginx.conf'

/** What Debian and certbot put beside the sites. */
const SNIPPETS = {
  '/etc/nginx/proxy_params':
    'proxy_set_header Host $http_host;\nproxy_set_header X-Real-IP $remote_addr;\nproxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\nproxy_set_header X-Forwarded-Proto $scheme;\n',
  '/etc/letsencrypt/options-ssl-nginx.conf':
    'ssl_session_cache shared:le_nginx_SSL:10m;\nssl_session_tickets off;\nssl_protocols TLSv1.2 TLSv1.3;\nssl_prefer_server_ciphers off;\nssl_ciphers "ECDHE-RSA-AES128-GCM-SHA256";\n',
}

/** The verdict about one file among those that Debian installs. */
export function judge(fileName: string, text: string, others: Readonly<Record<string, string>> = {}): JudgedSite {
  const { '/etc/nginx/sites-enabled/default': _, ...debian } = debianFiles()
  const path = `/etc/nginx/sites-enabled/${fileName}`
  const host = readSites(MAIN, memoryTree({ ...debian, ...SNIPPETS, [path]: text, ...others }), () => false)
  const site = host.files.find((file) => file.path === path)
  if (site === undefined) throw new Error('it is no site')
  return judgeSite(site, host, {
    ports: { http: 80, https: 443 },
    publicPorts: { http: 80, https: 443 },
    certificateOf: ({ args: [path = ''] }) =>
      path.startsWith('/etc/letsencrypt/live/')
        ? { choice: undefined }
        : { fault: 'the certificate is none of certbot' },
    dropletOf: () => (fileName === routeFileName('payments') ? 'payments' : undefined),
  })
}

function shown(findings: readonly Finding[]): string[] {
  return findings.map(({ file, line, directive, text }) => `${file}:${line} ${directive} -> ${text}`)
}

for (const file of readdirSync(new URL('../../fixtures/sites/', import.meta.url)).filter((name) =>
  name.endsWith('.conf'),
)) {
  test(`${file.replace('.conf', '')}: its verdict names every directive that has no equal`, () => {
    const { verdict, routes, differences, refusals } = judge(file, fixture(`sites/${file}`))
    const found = { verdict, routes, differences: shown(differences), refusals: shown(refusals) }
    assert.equal(found, JSON.parse(fixture(`sites/${file.replace('.conf', '.json')}`)))
  })
}

test.run()
