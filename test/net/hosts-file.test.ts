import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readHostsFile } from '../../lib/net/hosts-file.ts'

const test = suite('hosts file')

test('a name has every address that a line gives it, in any case, with aliases and comments', () => {
  const hosts = readHostsFile(
    '# 10.0.0.9 no\n127.0.0.1\tlocalhost VM # x\n::1 localhost ip6-localhost\n 10.0.0.1  vm vm.example.\n10.0.0.1 vm\nnot-an-address vm\n',
  )
  assert.equal(hosts.get('localhost'), ['127.0.0.1', '::1'])
  assert.equal(hosts.get('vm'), ['127.0.0.1', '10.0.0.1'])
  assert.equal(hosts.get('vm.example'), ['10.0.0.1'])
  assert.equal([hosts.get('no'), hosts.get('x'), readHostsFile('').size], [undefined, undefined, 0])
})

test.run()
