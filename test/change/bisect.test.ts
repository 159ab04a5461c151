import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  ACCEPTED,
  assertSettled,
  contentsOf,
  countEffects,
  installLineage,
  makeLineage,
  PORT_TAKEN,
  refusal,
  refused,
  refuseNextReload,
  textAt,
} from '../helpers/arrange.ts'
import { put, putRequest, servedPort, worldWithRoute } from '../helpers/world.ts'

const AVAILABLE = '/etc/nginx/sites-available'
const ENABLED = '/etc/nginx/sites-enabled'
/** Effects on live files; staged files do not count, since NGINX does not see their names. */
const LIVE = /^(write|append|rename|symlink|link) (?!.*(\.pm-tmp$|\/events))/

const test = suite('bisect')

test("of seven changes only the one that NGINX refuses fails, with NGINX's message; the others share one reload", async () => {
  const deps = await worldWithRoute()
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes('app-5.example.com'))
      ? refused('fpai-app-5.conf', 7, 'host not found in upstream "app-5"')
      : ACCEPTED
  const from = deps.effects.journal.length
  const results = await Promise.allSettled(
    [1, 2, 3, 4, 5, 6, 7].map((n) => put(deps, `app-${n}`, `app-${n}.example.com`, 8100 + n)),
  )
  assert.equal(
    results.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
  )
  const [rejected] = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
  assert.is(rejected.code, 'PROXY_CONFIG_FAILED')
  assert.equal(rejected.details, {
    stage: 'test',
    state: 'unchanged',
    culprit: 'caller',
    retryable: false,
    remedy: 'See nginx_output and diagnostics',
    nginx_output:
      '2026/01/01 00:00:00 [emerg] 4242#4242: host not found in upstream "app-5" in fpai-app-5.conf:7\nnginx: configuration file nginx.conf test failed',
    diagnostics: [{ level: 'emerg', file: 'fpai-app-5.conf', line: 7, message: 'host not found in upstream "app-5"' }],
  })
  assert.is(deps.nginx.reloads, 2)
  assert.ok(countEffects(deps, /^run .* -t /, from) <= 8)
  for (const result of results) if (result.status === 'fulfilled') assert.is(result.value.receipt.batch, 6)
  assert.is(servedPort(deps, 'app-4.example.com'), 8104)
  assert.is(servedPort(deps, 'app-5.example.com'), undefined)
  assert.is(textAt(deps.disk, `${AVAILABLE}/fpai-app-5.conf`), undefined)
  await assertSettled(deps)
})

test('what goes live is byte for byte what was tested last, with nothing of a refused change in it', async () => {
  const deps = await worldWithRoute()
  await installLineage(deps, 'tls.example.com', makeLineage('tls.example.com'))
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes('tls.example.com')) ? refused('fpai-tls.conf', 3, 'invalid parameter') : ACCEPTED
  const tested: string[] = []
  const judge = deps.nginx.judge
  deps.nginx.judge = (texts) => {
    const result = judge(texts)
    if (result.exitCode === 0) tested.push([...texts].join(''))
    return result
  }
  const [http, tls] = await Promise.allSettled([
    put(deps, 'app', 'app.example.com', 8002),
    deps.engine.putProxy(putRequest('tls', 'tls.example.com', 8003, true)),
  ])
  assert.equal([http.status, tls.status], ['fulfilled', 'rejected'])
  assert.not.match(textAt(deps.disk, `${AVAILABLE}/000-proxy-manager.conf`) ?? '', 'ssl')
  for (const name of ['000-proxy-manager.conf', 'fpai-app.conf'])
    assert.ok(tested.at(-1)?.includes(deps.nginx.loaded.get(name) ?? 'nothing'), name)
  await assertSettled(deps)
})

test('a refused change of a route that is not served over HTTPS does not affect the others of its batch', async () => {
  const deps = await worldWithRoute()
  await installLineage(deps, 'tls.example.com', makeLineage('tls.example.com'))
  await deps.engine.putProxy(putRequest('tls', 'tls.example.com', 8003, true))
  deps.disk.delete(`${ENABLED}/fpai-tls.conf`)
  const stale = { ...putRequest('tls', 'tls.example.com', 8004, true), precondition: { ifMatch: ['0123456789abcdef'] } }
  const [wrong, valid] = await Promise.all([
    refusal(deps.engine.putProxy(stale), 'PRECONDITION_FAILED'),
    put(deps, 'app', 'app.example.com', 8002),
  ])
  assert.equal([wrong.details.state, valid.outcome], ['unchanged', 'created'])
  assert.is(servedPort(deps, 'app.example.com'), 8002)
  await assertSettled(deps)
})

test('if NGINX refuses every change of a batch, nothing live is touched', async () => {
  const deps = await worldWithRoute()
  const before = contentsOf(deps.disk)
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes('app-')) ? refused('fpai-app-1.conf', 1, 'invalid parameter') : ACCEPTED
  const results = await Promise.allSettled([1, 2].map((n) => put(deps, `app-${n}`, `app-${n}.example.com`, 8100 + n)))
  for (const result of results) assert.is(result.status, 'rejected')
  assert.equal(contentsOf(deps.disk), before)
  assert.is(deps.nginx.reloads, 1)
})

test("a change that NGINX refuses keeps NGINX's message, whatever happens to the others", async () => {
  const deps = await worldWithRoute()
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes('bad.example.com')) ? refused('fpai-bad.conf', 7, 'invalid parameter') : ACCEPTED
  refuseNextReload(deps, PORT_TAKEN)
  const [bad] = await Promise.all([
    refusal(put(deps, 'bad', 'bad.example.com', 8002), 'PROXY_CONFIG_FAILED'),
    refusal(put(deps, 'app', 'app.example.com', 8003), 'NGINX_RELOAD_FAILED'),
  ])
  assert.match(String(bad.details.nginx_output), 'invalid parameter in fpai-bad.conf:7')
  await assertSettled(deps)
})

test("if the host's own configuration is broken, NGINX_ALREADY_BROKEN names the file, and nothing is written", async () => {
  const deps = await worldWithRoute()
  const before = contentsOf(deps.disk)
  const from = deps.effects.journal.length
  deps.nginx.judge = () => refused('shop.conf', 12, 'unknown directive "proxy_passs"')
  const error = await refusal(put(deps, 'app', 'app.example.com', 8002), 'NGINX_ALREADY_BROKEN')
  assert.is(error.status, 503)
  assert.is(error.details.state, 'unchanged')
  assert.is(error.details.culprit, 'host')
  assert.is(
    error.details.remedy,
    'Fix shop.conf, line 12: unknown directive "proxy_passs" (nginx -t shows the same), then call again',
  )
  assert.equal(error.details.diagnostics, [
    { level: 'emerg', file: 'shop.conf', line: 12, message: 'unknown directive "proxy_passs"' },
  ])
  assert.is(countEffects(deps, LIVE, from), 0)
  assert.equal(contentsOf(deps.disk), before)
})

test('a crowd of refused changes costs little more than a test for each, and others do not wait for all of them', async () => {
  const deps = await worldWithRoute()
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes('bad-'))
      ? { exitCode: 1, output: 'nginx: [emerg] could not build server_names_hash, you should increase it' }
      : ACCEPTED
  const from = deps.effects.journal.length
  let answered = 0
  const crowd = Array.from({ length: 60 }, (_, i) =>
    refusal(put(deps, `bad-${i}`, `bad-${i}.example.com`, 8001), 'PROXY_CONFIG_FAILED').finally(() => answered++),
  )
  const innocent = put(deps, 'innocent', 'innocent.example.com', 8002)
  await crowd[0]
  await put(deps, 'later', 'later.example.com', 8003)
  assert.ok(answered < 30, `${answered} of the crowd came first`)
  await Promise.all([...crowd, innocent])
  assert.ok(countEffects(deps, /^run .* -t /, from) <= 90, String(countEffects(deps, /^run .* -t /, from)))
  assert.is(servedPort(deps, 'innocent.example.com'), 8002)
  await assertSettled(deps)
})

test('a change whose file NGINX names is rejected without a search', async () => {
  const deps = await worldWithRoute()
  deps.nginx.judge = (texts) =>
    texts.some((text) => text.includes('app-5.example.com')) ? refused('fpai-app-5.conf', 7, 'no') : ACCEPTED
  const from = deps.effects.journal.length
  await Promise.allSettled([1, 2, 3, 4, 5, 6, 7].map((n) => put(deps, `app-${n}`, `app-${n}.example.com`, 8100 + n)))
  // All of them, the host without them, and the others.
  assert.is(countEffects(deps, /^run .* -t /, from), 3)
})

test.run()
