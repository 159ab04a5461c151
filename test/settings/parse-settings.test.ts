import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseVariables, resolverAddress } from '../../lib/settings/parse-settings.ts'
import { baseUrl, optional, token } from '../../lib/settings/schemas.ts'
import { parseFaults, parseValid } from '../helpers/settings.ts'

const test = suite('parseSettings')

test('every fault is reported at once, each in one line', () => {
  const found = parseFaults({ PROXY_MANAGER_PORT: 'x\ny', LOG_LEVEL: 'loud', NGINX_BIN: 'nginx', HOME: 'anything' })
  assert.equal(
    found.map((fault) => fault.split(':')[0]),
    ['PROXY_MANAGER_PORT', 'NGINX_BIN', 'LOG_LEVEL'],
  )
  assert.not.match(found.join(';'), '\n')
})

test('no message contains the value of a token', () => {
  const token = 'secret token'
  assert.not.match(parseFaults({ PROXY_MANAGER_API_TOKEN: token, LOG_LEVEL: 'x' }).join(), 'secret')
  const exposed = parseFaults({ PROXY_MANAGER_API_TOKEN: token, PROXY_MANAGER_HOST: '0.0.0.0' })
  assert.is(exposed.length, 1)
  assert.not.match(exposed.join(), 'secret')
})

test('a token may come from a file', () => {
  const read = (path: string) =>
    path === '/run/secrets/token' ? { text: `${'t'.repeat(20)}\n` } : { failure: 'ENOENT' }
  const environment = { PROXY_MANAGER_API_TOKEN_FILE: '/run/secrets/token', PROXY_MANAGER_PORT: '8101' }
  const settings = parseValid({ ...environment, PROXY_MANAGER_READ_TOKEN_FILE: '' }, read)
  assert.is(settings.PROXY_MANAGER_API_TOKEN, 't'.repeat(20))
  assert.is(settings.PROXY_MANAGER_PORT, 8101)
  assert.equal(parseFaults({ PROXY_MANAGER_API_TOKEN_FILE: '/nowhere' }, read).length, 1)
})

test('a token file that is empty or cannot be read never means that there is no token, or another one', () => {
  for (const file of [{ failure: 'EACCES' }, { text: '' }, { text: '\n' }]) {
    const environment = { PROXY_MANAGER_API_TOKEN_FILE: '/run/secrets/token', PROXY_MANAGER_API_TOKEN: 'x'.repeat(16) }
    assert.match(parseFaults(environment, () => file).join(), 'PROXY_MANAGER_API_TOKEN_FILE: /run/secrets/token')
  }
  const unnamed = { PROXY_MANAGER_API_TOKEN_FILE: '', PROXY_MANAGER_API_TOKEN: 'x'.repeat(16) }
  assert.is(parseValid(unnamed, () => ({ failure: 'ENOENT' })).PROXY_MANAGER_API_TOKEN, 'x'.repeat(16))
})

test('a token file that is empty or cannot be read is reported beside every other fault', () => {
  const environment = {
    PROXY_MANAGER_API_TOKEN_FILE: '/run/secrets/missing',
    PROXY_MANAGER_API_TOKEN: 'x'.repeat(16),
    PROXY_MANAGER_READ_TOKEN_FILE: '/run/secrets/empty',
    REGISTRY_TOKEN_FILE: '/run/secrets/short',
    PROXY_MANAGER_PORT: '0',
  }
  const read = (path: string) =>
    path.endsWith('missing') ? { failure: 'ENOENT' } : { text: path.endsWith('short') ? 'secret\n' : ' \n' }
  assert.equal([...parseFaults(environment, read)].sort(), [
    'PROXY_MANAGER_API_TOKEN_FILE: /run/secrets/missing cannot be read (ENOENT)',
    'PROXY_MANAGER_PORT: expected an integer from 1 to 65535, got "0"',
    'PROXY_MANAGER_READ_TOKEN_FILE: /run/secrets/empty is empty',
    'REGISTRY_TOKEN: expected a token of 16 to 4096 printable characters without spaces',
  ])
})

test('other variables are parsed by the same rules', () => {
  const variables = { URL: optional(baseUrl, 'where it is'), OTHER_TOKEN: optional(token(32), 'who calls') }
  const parsed = parseVariables(variables, { URL: 'http://a/', OTHER_TOKEN: '', PROXY_MANAGER_PORT: 'x' })
  assert.equal(parsed, { URL: 'http://a', OTHER_TOKEN: undefined })
  assert.equal(parseVariables(variables, { URL: 'a', OTHER_TOKEN: 'secret' }), {
    faults: [
      'URL: expected an http or https URL without credentials, query and fragment, got "a"',
      'OTHER_TOKEN: expected a token of 16 to 32 printable characters without spaces',
    ],
  })
})

test('a resolver is written as NGINX expects it: with its port, IPv6 in brackets', () => {
  assert.is(resolverAddress('10.0.0.2'), '10.0.0.2:53')
  assert.is(resolverAddress('10.0.0.2:5353'), '10.0.0.2:5353')
  assert.is(resolverAddress('::1'), '[::1]:53')
  assert.is(resolverAddress('2001:db8::53'), '[2001:db8::53]:53')
  assert.is(resolverAddress('[::1]'), '[::1]:53')
  assert.is(resolverAddress('[::1]:5353'), '[::1]:5353')
})

test.run()
