import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readUrl } from '../../lib/explanation/asked-url.ts'

const test = suite('a URL that is asked about')

const read = (text: string) => {
  const url = readUrl(text)
  if ('fault' in url) return url.fault
  const { scheme, host, port, path } = url
  return `${scheme} ${host} ${port} ${path}`
}

for (const [text, expected] of Object.entries({
  'http://app.example.com': 'http app.example.com 80 /',
  'HTTPS://APP.Example.com./x': 'https app.example.com 443 /x',
  'https://app.example.com:8443/x?y=1#z': 'https app.example.com 8443 /x',
  'http://app.example.com:80/': 'http app.example.com 80 /',
  'http://bücher.example/': 'http xn--bcher-kva.example 80 /',
  'http://[2001:DB8::0:1]:8080/': 'http [2001:db8::1] 8080 /',
  'http://192.0.2.7/': 'http 192.0.2.7 80 /',
  'http://0x7f000001/': 'http 127.0.0.1 80 /',
  'http://a/api//v1/./x/../y/': 'http a 80 /api/v1/y/',
  'http://a/api%2F%2e%2E/b': 'http a 80 /b',
  'http://a/%61pi/%C3%A9': 'http a 80 /api/é',
  'http://a/..': 'http a 80 /',
})) {
  test(`${text} is ${expected}`, () => {
    assert.is(read(text), expected)
  })
}

for (const [text, fault] of Object.entries({
  '': 'must be an absolute URL, such as https://app.example.com/path',
  'app.example.com': 'must be an absolute URL, such as https://app.example.com/path',
  '/path': 'must be an absolute URL, such as https://app.example.com/path',
  'ftp://app.example.com/': 'must begin with http:// or https://',
  'file:///etc/passwd': 'must begin with http:// or https://',
  'http://user@app.example.com/': 'must not have a user name or a password',
  'http://:secret@app.example.com/': 'must not have a user name or a password',
  'http://app.example.com\\@evil.example/': 'must not contain spaces, control characters or backslashes',
  'http://app.example.com/\r\nHost: x': 'must not contain spaces, control characters or backslashes',
  ' http://app.example.com/': 'must not contain spaces, control characters or backslashes',
  'http://app.example.com:99999/': 'must be an absolute URL, such as https://app.example.com/path',
  'http://a..b/': 'must have a host',
  'http://a/%00': 'must not have %00 in its path, nor a % without two hexadecimal digits',
  'http://a/100%': 'must not have %00 in its path, nor a % without two hexadecimal digits',
  [`http://${'a'.repeat(254)}/`]: 'must have a host of at most 253 characters',
  [`http://a/${'x'.repeat(2048)}`]: 'must be at most 2048 characters long',
})) {
  test(`${JSON.stringify(text.slice(0, 50))} ${fault}`, () => {
    assert.is(read(text), fault)
  })
}

test('the Host header has the port unless it is that of the scheme, and the fragment is not sent', () => {
  const url = readUrl('https://app.example.com.:8443/x?y=1#z')
  assert.ok(!('fault' in url))
  assert.equal(
    [url.authority, url.target, url.href],
    ['app.example.com:8443', '/x?y=1', 'https://app.example.com.:8443/x?y=1'],
  )
})

test.run()
