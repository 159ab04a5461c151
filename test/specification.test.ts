import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { endpoints, page as pageOfPeople } from '../functions/index.ts'
import { DEFAULT_OPTIONS } from '../lib/route/options.ts'

const test = suite('SPEC_Proxy_Manager_API_v1.md')

const root = fileURLToPath(new URL('..', import.meta.url))
const page = readFileSync(`${root}SPEC_Proxy_Manager_API_v1.md`, 'utf8')

/** The paths of this repository that it names; test/readme.test.ts checks that they exist. */
const cited = [...page.matchAll(/`([^`]+)`/g)]
  .map(([, text = '']) => text)
  .filter((text) => /^(functions|lib|test|fixtures|\.ci|\.github)(\/|$)|^(Dockerfile|package\.json)$/.test(text))

test('it goes through every section of the specification, and has every endpoint and option', () => {
  assert.ok(cited.length > 80)
  const sections = [...page.matchAll(/^## (\d) · /gm)].map(([, number]) => Number(number))
  assert.equal(sections, [1, 2, 3, 4, 5, 6, 7, 8, 9])
  for (const number of [
    '4.1.1',
    '4.1.2',
    '4.1.3',
    '4.1.4',
    '4.1.5',
    '4.1.6',
    '5.1',
    '5.2',
    '7.1',
    '7.2',
    '8.1',
    '8.2',
    '8.3',
  ])
    assert.ok(page.includes(`**${number}`) || page.includes(`| ${number} `), number)
  const files = globSync('functions/*.ts', { cwd: root }).filter((path) => path !== 'functions/index.ts')
  assert.is(files.length, endpoints.length + pageOfPeople.length)
  const names = cited.join(' ')
  for (const file of files) assert.ok(names.includes(file.replace(/^functions\/|\.ts$/g, '')), file)
  for (const option of Object.keys(DEFAULT_OPTIONS).filter((name) => !name.endsWith('timeout_s')))
    assert.ok(page.includes(`\`${option}\``), option)
})

test.run()
