/** The changes of which every effect is made to fail in turn, by the sweep's tests and by the proof. */
import type { FakeDeps } from '../../fixtures/deps.ts'
import { enabledTexts } from '../../fixtures/fake-nginx.ts'
import type { AdoptedSite } from '../../lib/engine/engine.ts'
import { ProxyManagerError } from '../../lib/errors.ts'
import { textAt, writeAt } from './arrange.ts'
import {
  certificateFor,
  HOUR_MS,
  issue,
  loadedFingerprint,
  putChoosing,
  putLineage,
  putSecure,
  START_MS,
  servedFingerprint,
  upload,
} from './certbot.ts'
import { mountedPort, put, remove, servedPort } from './world.ts'

const DOMAIN = 'app.example.com'
const FIRST = certificateFor(DOMAIN)
const RENEWED = certificateFor(DOMAIN, { fromMs: START_MS - HOUR_MS / 2 })

const OTHER_DOMAIN = 'other.example.com'
const BOTH = certificateFor(DOMAIN, { aliases: [OTHER_DOMAIN] })
const BOTH_RENEWED = certificateFor(DOMAIN, { aliases: [OTHER_DOMAIN], fromMs: START_MS - HOUR_MS / 2 })

/** The fingerprint of the uploaded certificate corp, whose version is complete; `undefined` if there is none. */
function uploadedFingerprint({ disk }: FakeDeps): string | undefined {
  const folder = '/var/lib/proxy-manager/uploads/corp'
  const record = textAt(disk, `${folder}/record.json`)
  if (record === undefined) return undefined
  const { chain_sha256, fingerprint_sha256 } = JSON.parse(record)
  return textAt(disk, `${folder}/${chain_sha256}/privkey.pem`) === undefined ? 'incomplete' : fingerprint_sha256
}

/** What is stored, and what NGINX has loaded for each of the two routes. */
function fingerprints(deps: FakeDeps): string {
  return [uploadedFingerprint(deps), ...[DOMAIN, OTHER_DOMAIN].map((name) => loadedFingerprint(deps, name))].join(' ')
}

/** Every effect of a successful change fails in turn; no promise may be broken by it. */
export interface Sweep {
  readonly prepare: (deps: FakeDeps) => Promise<unknown>
  /** Rejects with the catalogued error if it was refused. */
  readonly change: (deps: FakeDeps) => Promise<unknown>
  /** The next change makes up for it if it has failed. */
  readonly isRepeated?: true
  /** Whether NGINX serves the previous state, or the new one. */
  readonly isBefore: (deps: FakeDeps) => boolean
  readonly isAfter: (deps: FakeDeps) => boolean
}

export const SWEEPS = {
  create: {
    prepare: async () => undefined,
    change: (deps) => put(deps, 'app', 'app.example.com', 8002),
    isBefore: (deps) => servedPort(deps, 'app.example.com') === undefined,
    isAfter: (deps) => servedPort(deps, 'app.example.com') === 8002,
  },
  update: {
    prepare: (deps) => put(deps, 'app', 'app.example.com', 8002),
    change: (deps) => put(deps, 'app', 'app.example.com', 8003),
    isBefore: (deps) => servedPort(deps, 'app.example.com') === 8002,
    isAfter: (deps) => servedPort(deps, 'app.example.com') === 8003,
  },
  delete: {
    prepare: (deps) => put(deps, 'app', 'app.example.com', 8002),
    change: (deps) => remove(deps, 'app'),
    isBefore: (deps) => servedPort(deps, 'app.example.com') === 8002,
    isAfter: (deps) => servedPort(deps, 'app.example.com') === undefined,
  },
  'update of a file in sites-enabled itself': {
    prepare: putInEnabled,
    change: (deps) => put(deps, 'app', 'app.example.com', 8003),
    isBefore: (deps) => servedPort(deps, 'app.example.com') === 8002,
    isAfter: (deps) => servedPort(deps, 'app.example.com') === 8003,
  },
  'deletion of a file in sites-enabled itself': {
    prepare: putInEnabled,
    change: (deps) => remove(deps, 'app'),
    isBefore: (deps) => servedPort(deps, 'app.example.com') === 8002,
    isAfter: (deps) => servedPort(deps, 'app.example.com') === undefined,
  },
  rename: {
    prepare: (deps) => put(deps, 'app', 'app.example.com', 8002),
    change: (deps) => deps.engine.renameProxy({ dropletName: 'app', newName: 'other', precondition: {} }),
    isBefore: (deps) => servedPort(deps, 'app.example.com') === 8002 && deps.nginx.loaded.has('fpai-app.conf'),
    isAfter: (deps) => servedPort(deps, 'app.example.com') === 8002 && !deps.nginx.loaded.has('fpai-app.conf'),
  },
  'batch of five': {
    prepare: async (deps) => {
      await put(deps, 'gone', 'gone.example.com', 8004)
      await put(deps, 'moved', 'moved.example.com', 8005)
      await put(deps, 'renamed', 'renamed.example.com', 8007)
    },
    // A failed health check fails only its own call; here all calls must succeed or fail together.
    change: (deps) =>
      allOrNone([
        put(deps, 'app', 'app.example.com', 8002, false),
        put(deps, 'moved', 'moved.example.com', 8006, false),
        put(deps, 'renamed', 'now.example.com', 8007, false),
        put(deps, 'other', 'other.example.com', 8008, false),
        remove(deps, 'gone'),
      ]),
    isBefore: (deps) => ports(deps) === '- 8005 8007 - - 8004',
    isAfter: (deps) => ports(deps) === '8002 8006 - 8007 8008 -',
  },
  'mount under a domain': {
    prepare: (deps) => put(deps, 'web', DOMAIN, 8002),
    change: (deps) => put(deps, 'api', DOMAIN, 8003, true, '/api'),
    isBefore: (deps) => mounted(deps) === '8002 -',
    isAfter: (deps) => mounted(deps) === '8002 8003',
  },
  'deletion of a mount': {
    prepare: mountTwo,
    change: (deps) => remove(deps, 'api'),
    isBefore: (deps) => mounted(deps) === '8002 8003',
    isAfter: (deps) => mounted(deps) === '8002 -',
  },
  'deletion of the route with the server blocks': {
    prepare: mountTwo,
    change: (deps) => remove(deps, 'web'),
    isBefore: (deps) => mounted(deps) === '8002 8003',
    isAfter: (deps) => mounted(deps) === '- 8003',
  },
  'batch of mounts': {
    prepare: mountTwo,
    // Another route gets the server blocks, one loses its mount, one is moved to the domain.
    change: (deps) =>
      allOrNone([
        put(deps, 'web', 'elsewhere.example.com', 8002, false),
        put(deps, 'other', DOMAIN, 8004, false),
        put(deps, 'api', DOMAIN, 8003, false, '/v2'),
        put(deps, 'app', DOMAIN, 8005, false, '/api'),
      ]),
    isBefore: (deps) => mounted(deps) === '8002 8003',
    isAfter: (deps) => mounted(deps) === '8004 8005' && mountedPort(deps, DOMAIN, '/v2') === 8003,
  },
  'certificate switch': {
    prepare: async (deps) => {
      await putSecure(deps, 'app', DOMAIN)
      putLineage(deps.disk, DOMAIN, FIRST)
    },
    change: (deps) => issue(deps, 'app'),
    isBefore: (deps) => servedPort(deps, DOMAIN) === 8001 && servedFingerprint(deps, DOMAIN) === undefined,
    isAfter: (deps) => servedFingerprint(deps, DOMAIN) === FIRST.fingerprint,
  },
  'certificate renewal': {
    prepare: async (deps) => {
      putLineage(deps.disk, DOMAIN, FIRST)
      await putSecure(deps, 'app', DOMAIN)
      putLineage(deps.disk, DOMAIN, RENEWED, 2)
    },
    change: (deps) => issue(deps, 'app'),
    isBefore: (deps) => servedFingerprint(deps, DOMAIN) === FIRST.fingerprint,
    isAfter: (deps) => servedFingerprint(deps, DOMAIN) === RENEWED.fingerprint,
  },
  'replacement of an uploaded certificate': {
    prepare: async (deps) => {
      await upload(deps, 'corp', BOTH)
      await putChoosing(deps, 'app', DOMAIN, { name: 'corp' })
      await putChoosing(deps, 'other', OTHER_DOMAIN, { name: 'corp' })
    },
    change: (deps) => upload(deps, 'corp', BOTH_RENEWED),
    isBefore: (deps) => fingerprints(deps) === Array(3).fill(BOTH.fingerprint).join(' '),
    isAfter: (deps) => fingerprints(deps) === Array(3).fill(BOTH_RENEWED.fingerprint).join(' '),
  },
  'exchange of domains': {
    prepare: async (deps) => {
      await put(deps, 'app', 'app.example.com', 8002)
      await put(deps, 'other', 'other.example.com', 8003)
    },
    change: (deps) =>
      allOrNone([
        put(deps, 'app', 'other.example.com', 8002, false),
        put(deps, 'other', 'app.example.com', 8003, false),
      ]),
    isBefore: (deps) => ports(deps) === '8002 - - - 8003 -',
    isAfter: (deps) => ports(deps) === '8003 - - - 8002 -',
  },
  'adoption of a site': {
    prepare: async (deps) => putSite(deps, { isLinked: true }),
    change: adopt,
    isBefore: ({ nginx }) => siteFilesIn(nginx) === 'shop',
    isAfter: ({ nginx }) => siteFilesIn(nginx) === 'fpai-api fpai-shop fpai-www',
  },
  'adoption of a default server that is a file in sites-enabled': {
    prepare: async (deps) => {
      putSite(deps, { isLinked: false, listen: '80 default_server' })
      await deps.engine.reconcile()
    },
    change: adopt,
    isBefore: ({ nginx }) => siteFilesIn(nginx) === 'shop',
    isAfter: ({ nginx }) => siteFilesIn(nginx) === 'fpai-api fpai-shop fpai-www',
  },
  reconcile: {
    prepare: async (deps) => {
      await put(deps, 'app', 'app.example.com', 8002)
      addPanel(deps)
    },
    change: (deps) => deps.engine.reconcile(),
    isRepeated: true,
    isBefore: (deps) => !servedOnPanel(deps),
    isAfter: servedOnPanel,
  },
  'sync from the Registry': {
    prepare: async (deps) => {
      list(deps, [record('moved', 8002), record('gone', 8003)])
      await sync(deps)
      list(deps, [record('moved', 8102), record('fresh', 8004)])
    },
    change: sync,
    isBefore: (deps) => ports(deps) === '- 8002 - - - 8003',
    isAfter: (deps) => ports(deps) === '- 8102 - - - -' && servedPort(deps, 'fresh.example.com') === 8004,
  },
} as const satisfies Readonly<Record<string, Sweep>>

async function mountTwo(deps: FakeDeps): Promise<void> {
  await put(deps, 'web', DOMAIN, 8002)
  await put(deps, 'api', DOMAIN, 8003, true, '/api')
}

/** The ports of a domain's paths / and /api. */
function mounted(deps: FakeDeps): string {
  const text = [...deps.nginx.loaded.values()].find((loaded) => loaded.includes(`server_name ${DOMAIN};`)) ?? ''
  const hasRoot = !/location \/ \{\n *return 404;/.test(text)
  return [hasRoot ? servedPort(deps, DOMAIN) : undefined, mountedPort(deps, DOMAIN, '/api')]
    .map((port) => port ?? '-')
    .join(' ')
}

/** A route whose file somebody has moved to where its symlink was. */
export async function putInEnabled(deps: FakeDeps): Promise<void> {
  await put(deps, 'app', 'app.example.com', 8002)
  await deps.engine.idle()
  const [file, link] = ['available', 'enabled'].map((folder) => `/etc/nginx/sites-${folder}/fpai-app.conf`)
  writeAt(deps.disk, link ?? '', textAt(deps.disk, file ?? '') ?? '')
  deps.disk.delete(file ?? '')
}

/** A hand-written file of three sites, which NGINX serves. */
export function putSite(
  { disk, nginx }: Pick<FakeDeps, 'disk' | 'nginx'>,
  { isLinked, listen = '80' }: { readonly isLinked: boolean; readonly listen?: string },
): void {
  const site = (name: string, what: string) =>
    `server {\n    listen ${listen};\n    server_name ${name};\n    ${what}\n}\n`
  const proxied = (name: string, port: number) =>
    site(name, `location / { proxy_pass http://127.0.0.1:${port}; proxy_set_header Host $host; }`)
  const text =
    proxied('shop.example.com', 8002) +
    proxied('api.example.com', 8003) +
    site('www.example.com', 'return 301 $scheme://shop.example.com$request_uri;')
  const [file, link] = ['/etc/nginx/sites-available/shop', '/etc/nginx/sites-enabled/shop']
  writeAt(disk, isLinked ? file : link, text)
  if (isLinked) disk.set(link, { kind: 'link', target: file })
  nginx.loaded = enabledTexts(disk)
}

/** Adopts that file. */
export async function adopt({ engine }: FakeDeps): Promise<AdoptedSite> {
  const dropletNames = { 'shop.example.com': 'shop', 'api.example.com': 'api', 'www.example.com': 'www' }
  return await engine.adoptSite({ file: 'sites-enabled/shop', dropletNames, acceptsDifferences: true })
}

/** The files that serve its names. */
function siteFilesIn({ loaded }: FakeDeps['nginx']): string {
  const names = /server_name (shop|api|www)\.example\.com;/
  const files = [...loaded].flatMap(([name, text]) => (names.test(text) ? [name.replace('.conf', '')] : []))
  return files.sort().join(' ')
}

const PANEL_ADDRESS = '192.0.2.10:80'

/** Another package adds an address, on which NGINX finds no route that does not listen there itself. */
export function addPanel({ disk }: FakeDeps): void {
  writeAt(disk, '/etc/nginx/conf.d/panel.conf', `server { listen ${PANEL_ADDRESS}; server_name panel.example.org; }\n`)
}

/** Whether NGINX serves the route app on that address. */
export function servedOnPanel({ nginx }: FakeDeps): boolean {
  return nginx.loaded.get('fpai-app.conf')?.includes(`listen ${PANEL_ADDRESS};`) === true
}

/** The settings of the host for the sweeps: only one of them queries the Registry. */
export const SWEEP_SETTINGS = { REGISTRY_URL: 'http://registry.example:8000' }

const NAMES = ['app', 'moved', 'renamed', 'now', 'other', 'gone']

function ports(deps: FakeDeps): string {
  return NAMES.map((name) => servedPort(deps, `${name}.example.com`) ?? '-').join(' ')
}

/** The calls of one batch all succeed, or all fail. */
async function allOrNone(calls: readonly Promise<unknown>[]): Promise<void> {
  const refused = (await Promise.allSettled(calls)).filter((call) => call.status === 'rejected')
  if (refused.length > 0 && refused.length < calls.length)
    throw new Error(`${refused.length} of ${calls.length} calls of one batch were refused`)
  if (refused[0] !== undefined) throw refused[0].reason
}

function record(name: string, port: number) {
  return { name, domain: `${name}.example.com`, host: 'localhost', port }
}

function list({ nginx }: FakeDeps, droplets: readonly unknown[]): void {
  nginx.registry = { status: 200, body: JSON.stringify(droplets) }
}

/** A summary with skipped droplets is a refusal here: each of these is valid. */
async function sync({ engine }: FakeDeps): Promise<void> {
  const request = { dryRun: false, prune: true, confirm: undefined, requireHealthy: false, enableSsl: undefined }
  const { skipped } = await engine.syncFromRegistry(request)
  if (skipped.length > 0) throw new ProxyManagerError('CONFIG_WRITE_FAILED', { message: JSON.stringify(skipped) })
}
