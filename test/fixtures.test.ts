/** What operators are given beside the product: it must speak of what the product really exports. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { parse } from 'yaml'
import { fakeDeps } from '../fixtures/deps.ts'
import getMetrics from '../functions/get-metrics.ts'
import issueCertificate from '../functions/issue-certificate.ts'
import putProxy from '../functions/put-proxy.ts'
import { GENERATION_NAME } from '../lib/nginx/generation.ts'
import { APP, call } from './functions/wire.ts'
import { certbotThatIssues, certificateFor } from './helpers/certbot.ts'

const test = suite('fixtures')
const FOLDER = join(import.meta.dirname, '..', 'fixtures')
const read = (name: string) => readFileSync(join(FOLDER, name), 'utf8')

const Target = v.looseObject({ expr: v.string() })
const Dashboard = v.looseObject({
  title: v.string(),
  panels: v.array(
    v.looseObject({
      id: v.number(),
      title: v.string(),
      description: v.string(),
      targets: v.array(Target),
      gridPos: v.object({ x: v.number(), y: v.number(), w: v.number(), h: v.number() }),
    }),
  ),
})
const Alerts = v.strictObject({
  groups: v.array(
    v.strictObject({
      name: v.string(),
      rules: v.array(
        v.strictObject({
          alert: v.pipe(v.string(), v.regex(/^ProxyManager[A-Za-z]+$/)),
          expr: v.string(),
          for: v.optional(v.pipe(v.string(), v.regex(/^\d+[mh]$/))),
          labels: v.strictObject({ severity: v.picklist(['warning', 'critical']) }),
          annotations: v.strictObject({ summary: v.string(), description: v.string() }),
        }),
      ),
    }),
  ),
})

const dashboard = v.parse(Dashboard, JSON.parse(read('grafana-dashboard.json')))
const alerts = v.parse(Alerts, parse(read('prometheus-alerts.yml')))
const rules = alerts.groups.flatMap((group) => group.rules)
const expressions = [
  ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
  ...rules.map(({ expr }) => expr),
]

/** The metrics of a host on which everything has happened once: name -> its label names and their values. */
async function exported(): Promise<Map<string, Map<string, Set<string>>>> {
  const deps = await fakeDeps({ settings: { SSL_PREFLIGHT: 'off' } })
  const get = deps.host.probe.get
  deps.host.probe.get = async (request) =>
    request.host === GENERATION_NAME && request.path === '/status'
      ? { status: 200, body: 'Active connections: 1 \nReading: 0 Writing: 1 Waiting: 0 \n' }
      : await get(request)
  await call(putProxy, deps, '/proxies/app', { method: 'PUT', body: { ...APP, enable_ssl: true } })
  certbotThatIssues(deps, certificateFor(APP.domain))
  await call(issueCertificate, deps, '/proxies/app/ssl', { method: 'POST' })
  const { text } = await call(getMetrics, deps, '/proxy-manager/metrics')
  const found = new Map<string, Map<string, Set<string>>>()
  for (const [, name = '', labels = ''] of text.matchAll(/^(\w+)(?:\{(.*)\})? \S+$/gm)) {
    const known = found.get(name) ?? new Map<string, Set<string>>()
    for (const [, label = '', value = ''] of labels.matchAll(/(\w+)="([^"]*)"/g))
      known.set(label, (known.get(label) ?? new Set()).add(value))
    found.set(name, known)
  }
  return found
}

test('every metric that the dashboard and the alerts speak of is exported', async () => {
  const found = await exported()
  const spoken = new Set(expressions.flatMap((expression) => expression.match(/\bproxy_manager_\w+/g) ?? []))
  assert.ok(spoken.size > 10)
  assert.equal([...spoken].filter((name) => !found.has(name)).sort(), [])
})

test('every label that they select by is one that the metric has, and its values are ones that it takes', async () => {
  const found = await exported()
  for (const expression of expressions)
    for (const [, name = '', selector = ''] of expression.matchAll(/\b(proxy_manager_\w+)\{([^}]*)\}/g))
      for (const [, label = '', operator = '', value = ''] of selector.matchAll(/(\w+)(=~|!=|!~|=)"([^"]*)"/g)) {
        // Prometheus itself adds where it scraped.
        if (label === 'instance') continue
        const values = found.get(name)?.get(label)
        assert.ok(values !== undefined, `${name} has no label ${label}`)
        if (operator === '=' || operator === '!=' || operator === '=~')
          for (const one of value.split('|')) assert.ok(values.has(one), `${name} never has ${label}="${one}"`)
      }
})

test('every label that they group by or show is one that the metric has', async () => {
  const found = await exported()
  for (const expression of expressions)
    for (const [, labels = ''] of expression.matchAll(/\bby \(([^)]*)\)/g))
      for (const label of labels.split(/,\s*/).filter((name) => name !== 'instance')) {
        const names = expression.match(/\bproxy_manager_\w+/g) ?? []
        assert.ok(
          names.some((name) => found.get(name)?.has(label)),
          `${expression}: no label ${label}`,
        )
      }
})

test('every expression has its brackets and quotes in pairs', () => {
  for (const expression of expressions) {
    const open: string[] = []
    for (const sign of expression.replace(/"[^"]*"/g, '').match(/[()[\]{}"]/g) ?? []) {
      if ('([{'.includes(sign)) open.push(sign)
      else assert.is(open.pop(), { ')': '(', ']': '[', '}': '{' }[sign], expression)
    }
    assert.equal(open, [], expression)
  }
})

test('every alert has a name of its own, and words that say what to do', () => {
  assert.is(new Set(rules.map(({ alert }) => alert)).size, rules.length)
  for (const { alert, annotations } of rules) {
    assert.match(annotations.description, /\.$/, alert)
    assert.match(annotations.summary, /\$labels\.(instance|domain)/, alert)
  }
})

test('what must not be missed has an alert', () => {
  for (const pattern of [
    /certificate_expiry_timestamp_seconds.* < 14/,
    /certificate_expiry_timestamp_seconds.* < 3/,
    /nginx_reload_duration_seconds_count\{result!="success"\}/,
    /routes\{status=~"drifted/,
    /health\{status="unhealthy"\}/,
    /config_test_ok == 0/,
    /queue_depth/,
    /http_request_duration_seconds_count\{operation="none",status=~"401\|429"\}/,
  ])
    assert.ok(
      rules.some(({ expr }) => pattern.test(expr)),
      String(pattern),
    )
})

test('panels of the dashboard have numbers of their own and do not lie on each other', () => {
  const { panels } = dashboard
  assert.is(new Set(panels.map(({ id }) => id)).size, panels.length)
  for (const { id, title, gridPos: a } of panels) {
    assert.ok(a.x + a.w <= 24, title)
    for (const { gridPos: b } of panels.filter((other) => other.id > id)) {
      const isApart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y
      assert.ok(isApart, title)
    }
  }
})

test('the sandbox tells its options, and starts nothing where it does not know a word', () => {
  const sandbox = (...words: string[]) =>
    spawnSync(process.execPath, [join(FOLDER, 'sandbox/main.ts'), ...words], { encoding: 'utf8' })
  const help = sandbox('--help')
  assert.is(help.status, 0)
  assert.match(help.stdout, /^npm run sandbox .+\n[\s\S]+ {2}--once /)
  for (const word of ['--onec', 'once']) {
    const { status, stdout, stderr } = sandbox(word)
    assert.equal([status, stdout], [2, ''])
    assert.match(stderr, new RegExp(`^sandbox: .*'${word}'.*\\n\\nnpm run sandbox`))
  }
})

test.run()
