/** The installation of the manual, word for word, on a machine with systemd. */
import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { makeKeyPair } from '../../fixtures/acme/certificate.ts'
import { readExamples } from '../helpers/fenced-blocks.ts'
import { readPage } from '../helpers/manual-pages.ts'
import { createMachine, type Machine } from './machine.ts'
import type { Report } from './report.ts'
import { install, openRoot, type Place, type Root } from './root.ts'
import { expect, type Shell } from './shell.ts'

/** The rating of `systemd-analyze security` that the unit must not exceed. */
const EXPOSURE = 3
const WAIT = 'curl -s --retry 30 --retry-delay 1 --retry-connrefused http://127.0.0.1:8100/health'
const JOURNAL = '/var/lib/proxy-manager/journal'
/** What is there when the machine is killed: the journal; then the new file as well; and in a change of a route that is there, the journal. */
const MOMENTS = [JOURNAL, '/etc/nginx/sites-enabled/fpai-cut.conf', JOURNAL]

/** @throws at the first step that fails, after it has been reported */
export async function tryService(
  shell: Shell,
  report: Report,
  place: Place,
  release: string,
  hadSandbox: boolean,
): Promise<void> {
  // The name of a control group, too, beside those of other runs.
  const name = `${basename(place.work)}-${release}`.toLowerCase()
  const title = `systemd on ${release}${hadSandbox ? ', after a sandbox' : ''}`
  const step = (what: string, attempt: () => Promise<string | undefined>) => report.step(title, what, attempt)
  const root = await openRoot(shell, place, release, `service-${release}`, { hasNpm: hadSandbox })
  const machine = createMachine(shell, root, name)
  try {
    await step('a machine that has the packages, and no network', async () => {
      await prepare(shell, place, root, release, hadSandbox)
      await machine.boot()
      return (await machine.must('systemctl --version')).split('\n')[0]
    })
    await tryInstallation(step, machine)
    await tryCertificate(step, machine, root)
    await tryCommandLine(step, machine)
    await tryKills(step, machine, root)
    await tryRest(step, machine)
  } finally {
    await machine.kill()
  }
}

type Step = (what: string, attempt: () => Promise<string | undefined>) => Promise<void>

/** Downloads what the manual installs, since the machine itself has no network. */
async function prepare(shell: Shell, place: Place, root: Root, release: string, hadSandbox: boolean): Promise<void> {
  await root.placeClone('root')
  await root.script('root', 'apt-get install -q -y --download-only nginx certbot npm git curl')
  if (hadSandbox) await root.script('root', 'cd proxy-manager && sh fixtures/setup.sh')
  else await root.script('root', install('pebble'))
  const other = await openRoot(shell, place, release, `npm-${release}`, { hasNpm: true })
  await other.placeClone('root')
  await other.script('root', 'cd proxy-manager && sh fixtures/setup.sh --install')
  cpSync(`${other.path}/root/.npm`, `${root.path}/root/.npm`, { recursive: true })
  writeFileSync(`${root.path}/root/.npmrc`, 'offline=true\n')
}

/** The commands of the example that begins like this, word for word. */
function fromManual(page: string, beginning: string): string {
  const example = readExamples(readPage(page).text, page).find(({ text }) => text.startsWith(beginning))
  if (example === undefined) throw new Error(`${page} has no example that begins with ${beginning}`)
  return example.text
}

async function tryInstallation(step: Step, machine: Machine): Promise<void> {
  await step('the installation as written', async () => {
    const output = await machine.must(fromManual('README.md', 'apt-get update '))
    expect(/"status": ?"healthy"/.test(output), `health said ${output.slice(-300)}`)
    return undefined
  })
  await step('both services run, and will after a boot', async () => {
    await machine.must('systemctl is-active nginx proxy-manager; systemctl is-enabled nginx proxy-manager')
    return undefined
  })
  await step('the exposure of the unit', async () => {
    await machine.must('systemd-analyze verify /etc/systemd/system/proxy-manager.service')
    const rated = await machine.must('systemd-analyze security --no-pager proxy-manager.service')
    const exposure = Number(/Overall exposure level[^\d]*([\d.]+)/.exec(rated)?.[1])
    expect(exposure <= EXPOSURE, `${exposure}, instead of at most ${EXPOSURE}`)
    return String(exposure)
  })
}

/** Pebble on fixed ports: the machine is its own. */
async function tryCertificate(step: Step, machine: Machine, root: Root): Promise<void> {
  await step('the first certificate, as written', async () => {
    const folder = join(root.path, 'srv/pebble')
    mkdirSync(folder)
    makeKeyPair(folder)
    const pebble = {
      listenAddress: '127.0.0.1:14000',
      managementListenAddress: '127.0.0.1:15000',
      certificate: '/srv/pebble/ca.pem',
      privateKey: '/srv/pebble/ca-key.pem',
      httpPort: 80,
      tlsPort: 443,
    }
    writeFileSync(join(folder, 'pebble.json'), JSON.stringify({ pebble }))
    const node = 'PATH=/opt/proxy-manager/.node/bin:$PATH'
    await machine.must(`
      systemd-run -q --unit=dns pebble-challtestsrv -http01 "" -https01 "" -tlsalpn01 "" -dns01 127.0.0.1:8053 -management 127.0.0.1:8055 -defaultIPv6 ""
      systemd-run -q --unit=ca -E PEBBLE_VA_NOSLEEP=1 -E PEBBLE_WFE_NONCEREJECT=0 pebble -config /srv/pebble/pebble.json -dnsserver 127.0.0.1:8053
      systemd-run -q --unit=droplet -E ${node} node -e "require('http').createServer((_, r) => r.end('the droplet')).listen(8002)"
      cat >>/etc/proxy-manager.env <<END
DEFAULT_SSL_EMAIL=ops@droplets.test
ACME_DIRECTORY_URL=https://127.0.0.1:14000/dir
REQUESTS_CA_BUNDLE=/srv/pebble/ca.pem
DNS_SERVERS=127.0.0.1:8053
END
      systemctl restart proxy-manager
      ${WAIT}
      ${fromManual('README.md', 'curl -X PUT ')}`)
    const answer = await machine.must(fromManual('README.md', 'curl -X POST http://127.0.0.1:8100/proxies/app/ssl'))
    expect(/"proved_by": ?"tls_handshake"/.test(answer), answer.slice(-600))
    const served = await machine.must(
      'curl -sk --resolve app.example.com:443:127.0.0.1 https://app.example.com/; openssl s_client -connect 127.0.0.1:443 -servername app.example.com </dev/null 2>&1',
    )
    expect(/the droplet/.test(served) && /issuer=.*Pebble/i.test(served), served.slice(0, 400))
    return undefined
  })
  await step('an order that finds a directory of certbot read-only says so', async () => {
    const dropIn = '/etc/systemd/system/proxy-manager.service.d'
    const restart = `systemctl daemon-reload; systemctl restart proxy-manager; ${WAIT}`
    await machine.must(`mkdir ${dropIn}; printf '[Service]\\nTemporaryFileSystem=/var/log/letsencrypt:ro\\n' >${dropIn}/test.conf
      ${restart}; proxy-manager put other --domain other.example.com --upstream http://localhost:8002`)
    const { status, output } = await machine.run('proxy-manager ssl other')
    expect(status === 1 && /Read-only file system/.test(output) && /read-only here/.test(output), output)
    await machine.must(`rm -r ${dropIn}; ${restart}; proxy-manager delete other`)
    return undefined
  })
  await step('the service can read which binary NGINX runs from', async () => {
    // As an upgrade of the package does: the running master keeps the deleted file, whose name only CAP_SYS_PTRACE lets the service read.
    await machine.must(
      'cp /usr/sbin/nginx /usr/sbin/nginx.new; echo >>/usr/sbin/nginx.new; mv /usr/sbin/nginx.new /usr/sbin/nginx',
    )
    const dependencies = await machine.must('curl -s http://127.0.0.1:8100/proxy-manager/health')
    expect(/restart/i.test(dependencies), `health does not advise a restart of NGINX: ${dependencies.slice(0, 600)}`)
    await machine.must('systemctl restart nginx')
    return undefined
  })
}

async function tryCommandLine(step: Step, machine: Machine): Promise<void> {
  await step("root's command line reads address, port and token", async () => {
    await machine.must(`
      cp /etc/proxy-manager.env /root/env
      printf 'PROXY_MANAGER_HOST=0.0.0.0\\nPROXY_MANAGER_PORT=8200\\nPROXY_MANAGER_API_TOKEN=a-token-of-many-characters\\n' >>/etc/proxy-manager.env
      systemctl restart proxy-manager
      curl -s --retry 30 --retry-delay 1 --retry-connrefused http://127.0.0.1:8200/health`)
    const listed = await machine.must('cd / && proxy-manager list')
    expect(/^app +app\.example\.com/m.test(listed), listed)
    const user = await machine.run(
      'setpriv --reuid=nobody --clear-groups env PROXY_MANAGER_PORT=8200 proxy-manager list',
    )
    expect(user.status === 1 && /UNAUTHORIZED|token/i.test(user.output), `another user: ${user.output}`)
    await machine.must('mv /root/env /etc/proxy-manager.env; systemctl restart proxy-manager')
    return undefined
  })
  await step('`journalctl -u proxy-manager` has the log', async () => {
    const log = await machine.must('journalctl -u proxy-manager -o cat; journalctl -t proxy-manager -n 3')
    expect(/^\{.*"action":"putProxy".*"result":"success"/m.test(log), log.slice(-300))
    return undefined
  })
}

async function tryKills(step: Step, machine: Machine, root: Root): Promise<void> {
  const ports = MOMENTS.map((_, i) => 9001 + i)
  const ready = async () => {
    await machine.must(`systemctl is-active nginx
      systemd-run -q -E PATH=/opt/proxy-manager/.node/bin:$PATH node -e "for (const p of [${ports}]) require('http').createServer((_, r) => r.end('droplet ' + p)).listen(p)"
      until curl -s http://127.0.0.1:${ports.at(-1)}/; do sleep 0.1; done
      until proxy-manager list >/dev/null; do sleep 0.1; done`)
  }
  await ready()
  for (const [i, moment] of MOMENTS.entries())
    await step(`API and machine killed in the middle of a change (${i + 1}), and booted again`, async () => {
      let wasInterrupted = false
      for (let tries = 0; tries < 5 && !wasInterrupted; tries++) {
        if (moment !== JOURNAL) await machine.run('proxy-manager delete cut')
        await machine.must(changeUntil(moment, ports[i] ?? 0))
        await machine.kill()
        wasInterrupted = existsSync(join(root.path, JOURNAL))
        await machine.boot()
        await ready()
      }
      expect(wasInterrupted, 'five changes were over before the machine was killed')
      expect(!existsSync(join(root.path, JOURNAL)), 'the journal is still there')
      const listed = await machine.must('proxy-manager list')
      expect(/^app /m.test(listed), 'the other route is gone')
      const served = await machine.run("curl -s -H 'host: cut.example.com' http://127.0.0.1/")
      const [listedPort, servedPort] = [/^cut .*:(\d+) /m.exec(listed)?.[1], /^droplet (\d+)$/.exec(served.output)?.[1]]
      expect(listedPort === servedPort, `listed: ${listedPort}, served: ${served.output}`)
      return listedPort === String(ports[i]) ? 'completed' : 'undone'
    })
}

/** A PUT, and the end of the API without a chance to clean up once journal and file are there, or the call is over. */
function changeUntil(moment: string, port: number): string {
  const body = JSON.stringify({ domain: 'cut.example.com', upstream: `http://localhost:${port}`, enable_ssl: false })
  return `pid=$(systemctl show -p MainPID --value proxy-manager)
    curl -s -m 20 -X PUT http://127.0.0.1:8100/proxies/cut -H 'content-type: application/json' -d '${body}' >/dev/null & call=$!
    while kill -0 $call && ! { [ -s ${JOURNAL} ] && [ -e ${moment} ]; }; do :; done
    kill -9 $pid`
}

async function tryRest(step: Step, machine: Machine): Promise<void> {
  const page = 'lib/cli/README.md'
  await step('the upgrade as written', async () => {
    await machine.must(fromManual(page, 'cd /opt/proxy-manager && rm -rf'))
    await machine.must(`${WAIT}; proxy-manager get app`)
    return undefined
  })
  await step('the way back as written', async () => {
    await machine.must(fromManual(page, 'systemctl stop proxy-manager '))
    await machine.must(`${WAIT}; proxy-manager get app`)
    return undefined
  })
  await step('the removal as written', async () => {
    await machine.must(fromManual(page, 'systemctl disable '))
    await machine.must('systemctl is-active nginx; nginx -t; ! ls /var/lib/proxy-manager')
    return undefined
  })
}
