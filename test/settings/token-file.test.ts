import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readTokenFile } from '../../lib/settings/token-file.ts'

const test = suite('readTokenFile')

const environment = { A_TOKEN_FILE: '/run/token', OTHER_TOKEN_FILE: '' }

test('the token is the text of the file that the variable names, without white space around it', () => {
  const read = (path: string) => ({ text: ` ${path.slice(1)} \n` })
  assert.equal(readTokenFile(environment, 'A_TOKEN', read), { token: 'run/token' })
})

test('a variable that is empty or not set names no file', () => {
  for (const name of ['OTHER_TOKEN', 'THIRD_TOKEN'])
    assert.is(
      readTokenFile(environment, name, () => ({ text: 'x' })),
      undefined,
    )
})

test('a file that is empty or cannot be read is a fault that names variable and file', () => {
  assert.equal(
    readTokenFile(environment, 'A_TOKEN', () => ({ failure: 'EACCES' })),
    { fault: 'A_TOKEN_FILE: /run/token cannot be read (EACCES)' },
  )
  assert.equal(
    readTokenFile(environment, 'A_TOKEN', () => ({ text: ' \n' })),
    { fault: 'A_TOKEN_FILE: /run/token is empty' },
  )
})

test.run()
