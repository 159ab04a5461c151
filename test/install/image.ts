/** The image of the Dockerfile, built on a debootstrapped base without a registry of images, and run in namespaces of its own. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { makeKeyPair } from '../../fixtures/acme/certificate.ts'
import { type Container, createNetwork, type Network, runContainer } from './container.ts'
import type { Report } from './report.ts'
import { openRoot, type Place } from './root.ts'
import { eventually, expect, type Shell } from './shell.ts'

const BASE = 'localhost/base'
const IMAGE = 'localhost/proxy-manager'
const TOKEN = 'PROXY_MANAGER_API_TOKEN=a-token-of-many-characters'
const APP = '--domain app.example.com --upstream http://127.0.0.1:8002'

type Step = (what: string, attempt: () => Promise<string | undefined>) => Promise<void>
/** Starts a container on the volumes; without a network, in the common one. */
type Start = (environment: readonly string[], network?: Network) => Promise<Container>

const Inspected = v.object({
  OCIv1: v.object({
    config: v.object({
      Env: v.array(v.string()),
      Cmd: v.array(v.string()),
      Volumes: v.record(v.string(), v.unknown()),
    }),
  }),
})

/** @throws at the first step that fails, after it has been reported */
export async function tryImage(shell: Shell, report: Report, place: Place, release: string): Promise<void> {
  const step: Step = (what, attempt) => report.step(`image on ${release}`, what, attempt)
  const buildah = builder(shell, place)
  await build(step, shell, place, release, buildah)
  const { config } = v.parse(Inspected, JSON.parse(await buildah('inspect', '--type', 'image', IMAGE))).OCIv1
  const networks = [await createNetwork(shell), await createNetwork(shell)] as const
  try {
    const ca = await startCa(shell, place, networks[0])
    const volumes = Object.keys(config.Volumes).map((target, i) => {
      const source = join(place.work, `volume-${i}`)
      mkdirSync(source)
      return `${source}:${target}`
    })
    const start: Start = async (environment, network = networks[0]) => {
      const container = (await buildah('from', '--pull-never', IMAGE)).trim()
      return await runContainer(shell, place, {
        root: (await buildah('mount', container)).trim(),
        network,
        environment: [...config.Env, ...environment],
        command: config.Cmd,
        volumes: [...volumes, `${ca.folder}:/srv/pebble`],
      })
    }
    await tryLife(step, start, [TOKEN, ...ca.environment], networks[1])
  } finally {
    for (const network of networks) network.close()
  }
}

/** Runs buildah with a storage of this run; its output without progress. */
function builder(shell: Shell, place: Place) {
  const storage = ['--root', join(place.work, 'images'), '--runroot', join(place.work, 'images-run')]
  return (...args: readonly string[]) => shell.mustRun(['buildah', ...storage, '--storage-driver', 'overlay', ...args])
}

async function build(
  step: Step,
  shell: Shell,
  place: Place,
  release: string,
  buildah: ReturnType<typeof builder>,
): Promise<void> {
  await step('a base of Debian with Node.js and npm', async () => {
    const root = await openRoot(shell, place, release, 'base', { hasNpm: true })
    await shell.mustRun(['cp', process.execPath, `${root.path}/usr/local/bin/node`])
    const container = (await buildah('from', 'scratch')).trim()
    await buildah('add', '--quiet', container, root.path, '/')
    await buildah('config', '--env', 'NODE_EXTRA_CA_CERTS=/etc/ssl/extra-ca.pem', container)
    await buildah('commit', '--quiet', '--rm', container, BASE)
    return (await root.script('root', 'echo Node $(node --version), npm $(npm --version)')).trim()
  })
  await step('the image is built from the Dockerfile', async () => {
    const options = ['--isolation', 'chroot', '--network', 'host', '--pull-never', '--build-arg', `BASE=${BASE}`]
    await buildah('build', ...options, '--tag', IMAGE, place.clone)
    return undefined
  })
}

/** A CA, its DNS server and a droplet, in this network. */
async function startCa(shell: Shell, place: Place, network: Network) {
  const folder = join(place.work, 'pebble')
  mkdirSync(folder)
  const { certificate, key } = makeKeyPair(folder)
  const addresses = { listenAddress: '127.0.0.1:14000', managementListenAddress: '127.0.0.1:15000' }
  const pebble = { ...addresses, certificate, privateKey: key, httpPort: 80, tlsPort: 443 }
  writeFileSync(join(folder, 'pebble.json'), JSON.stringify({ pebble }))
  const off = ['-http01', '', '-https01', '', '-tlsalpn01', '', '-defaultIPv6', '']
  const inside = (command: readonly string[], environment = {}) =>
    void shell.start([...network.inside, ...command], { environment })
  inside(['pebble-challtestsrv', ...off, '-dns01', '127.0.0.1:8053', '-management', '127.0.0.1:8055'])
  inside(['pebble', '-config', join(folder, 'pebble.json'), '-dnsserver', '127.0.0.1:8053'], {
    PEBBLE_VA_NOSLEEP: '1',
    PEBBLE_WFE_NONCEREJECT: '0',
  })
  inside([process.execPath, '-e', "require('http').createServer((_, r) => r.end('the droplet')).listen(8002)"])
  const environment = [
    'DEFAULT_SSL_EMAIL=ops@droplets.test',
    'ACME_DIRECTORY_URL=https://127.0.0.1:14000/dir',
    'REQUESTS_CA_BUNDLE=/srv/pebble/ca.pem',
    'DNS_SERVERS=127.0.0.1:8053',
  ]
  return { folder, environment }
}

async function tryLife(step: Step, start: Start, environment: readonly string[], otherNetwork: Network): Promise<void> {
  await step('without a token it ends with 78', async () => {
    const status = await (await start([])).ended()
    expect(status === 78, `exit status ${status}`)
    return undefined
  })
  let container = await start(environment)
  await step('it becomes healthy', async () => {
    await eventually(() => healthy(container), 'healthy')
    return undefined
  })
  await step('PUT', async () => {
    await must(container, `proxy-manager put app ${APP} --no-ssl`)
    return undefined
  })
  await step('a certificate', async () => {
    await must(container, 'proxy-manager ssl app')
    await eventually(() => served(container), 'served over HTTPS')
    return undefined
  })
  await step('SIGTERM, and a new container on the volumes', async () => {
    const { status, seconds } = await container.stop()
    expect(status === 0, `exit status ${status}`)
    container = await start([...environment, 'PROXY_MANAGER_HOST=127.0.0.2'])
    await eventually(() => served(container), 'served over HTTPS')
    await eventually(() => healthy(container), 'healthy on another address')
    return `stopped within ${seconds} s`
  })
  await step("kill -9 of NGINX's master", async () => {
    const began = performance.now()
    await must(container, 'kill -9 $(cat /run/nginx.pid)')
    await eventually(() => served(container), 'served again')
    // By a new master: the workers of the former would answer, too.
    await eventually(async () => {
      const { status } = await container.exec('kill -0 $(cat /run/nginx.pid)')
      return status === 0 || undefined
    }, 'a master')
    await must(
      container,
      `proxy-manager put other --domain other.example.com --upstream http://127.0.0.1:8002 --no-ssl`,
    )
    return `a change works after ${Math.round((performance.now() - began) / 1000)} s`
  })
  await step('kill -9 of the API', async () => {
    await must(
      container,
      `kill -9 $(grep -l serve /proc/[0-9]*/cmdline | while read -r f; do d=\${f%/cmdline}; case $(readlink $d/exe) in */node) echo \${d#/proc/};; esac; done)`,
    )
    await eventually(() => healthy(container), 'healthy')
    return undefined
  })
  await step('a second container on the volumes takes over when the first has stopped', async () => {
    const second = await start(environment, otherNetwork)
    // More than the three times after which supervisord would give it up.
    await new Promise((resolve) => setTimeout(resolve, 20_000))
    expect((await second.exec('proxy-manager health')).status === 3, 'two manage the same volumes')
    const { status } = await container.stop()
    expect(status === 0, `exit status ${status}`)
    await eventually(() => healthy(second), 'healthy')
    container = second
    await eventually(() => served(container), 'served over HTTPS')
    return undefined
  })
  await step('SIGTERM in the middle of a change', async () => {
    const change = container.exec(`proxy-manager put app ${APP} --no-health-check --options '{"maintenance":true}'`)
    await must(container, 'until [ -s /var/lib/proxy-manager/journal ]; do :; done')
    const { status, seconds } = await container.stop()
    expect(status === 0, `exit status ${status}`)
    expect((await change).status === 0, `the change was not answered: ${(await change).output}`)
    return `stopped within ${seconds} s`
  })
}

/** The check of the Dockerfile. */
async function healthy(container: Container): Promise<true | undefined> {
  const { status } = await container.exec('proxy-manager health >/dev/null || [ $? -eq 4 ]')
  return status === 0 ? true : undefined
}

async function served(container: Container): Promise<true | undefined> {
  const request =
    'require("https").get({host:"127.0.0.1",servername:"app.example.com",headers:{host:"app.example.com"},rejectUnauthorized:false},r=>process.exit(r.statusCode<503?0:1)).on("error",()=>process.exit(1))'
  const { status } = await container.exec(`node -e '${request}'`)
  return status === 0 ? true : undefined
}

async function must(container: Container, text: string): Promise<void> {
  const { status, output } = await container.exec(text)
  expect(status === 0, `exit status ${status}: ${output}`)
}
