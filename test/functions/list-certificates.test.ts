import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakeDeps } from '../../fixtures/deps.ts'
import listCertificates from '../../functions/list-certificates.ts'
import { writeAt } from '../helpers/arrange.ts'
import {
  CONFIG,
  certbotThatIssues,
  certificateFor,
  issue,
  OTHER_RENEWAL,
  putChoosing,
  putLineage,
  putSecure,
  upload,
} from '../helpers/certbot.ts'
import { call } from './wire.ts'

const test = suite('GET /certificates')

const DOMAIN = 'app.example.com'
const WILDCARD = certificateFor('*.example.com')
const OWN = certificateFor('own.example.net')
const CORP = certificateFor('corp.example.org')

test('every lineage and every uploaded certificate is listed with its users, its end and its budget', async () => {
  const deps = await fakeDeps()
  putLineage(deps.disk, 'example.com', WILDCARD, 1, OTHER_RENEWAL)
  writeAt(deps.disk, `${CONFIG}/live/README`, 'This directory contains your keys and certificates.\n')
  deps.disk.set(`${CONFIG}/live/torn`, { kind: 'folder' })
  writeAt(deps.disk, `${CONFIG}/live/torn/fullchain.pem`, WILDCARD.fullchain)
  certbotThatIssues(deps, OWN)
  await putSecure(deps, 'own', 'own.example.net')
  await issue(deps, 'own')
  await putSecure(deps, 'app', DOMAIN)
  await upload(deps, 'corp', CORP)
  await putChoosing(deps, 'corp', 'corp.example.org', { name: 'corp' })
  const { status, body } = await call(listCertificates, deps, '/certificates')
  assert.is(status, 200)
  const none = { last_attempt: null, next_attempt_at: null, budget_left: null }
  const expiry = '2026-03-31T23:00:00.000Z'
  assert.equal(
    body.map(({ certificate, ...entry }: { certificate: { domains: string[] } | null }) => [
      certificate?.domains,
      entry,
    ]),
    [
      [['*.example.com'], { source: 'lineage', name: 'example.com', expiry, users: ['app'], ...none }],
      [
        ['own.example.net'],
        {
          source: 'own',
          name: 'own.example.net',
          expiry,
          users: ['own'],
          last_attempt: { at: '2026-01-01T00:00:00.000Z', result: 'issued', reason: null },
          next_attempt_at: null,
          budget_left: { failures: 3, certificates: 2 },
        },
      ],
      [
        undefined,
        { source: 'lineage', name: 'torn', expiry: null, fault: 'one of its files is missing', users: [], ...none },
      ],
      [
        ['corp.example.org'],
        { source: 'uploaded', name: 'corp', expiry, users: ['corp'], uploaded_at: '2026-01-01T00:00:00.000Z', ...none },
      ],
    ],
  )
})

test('without certbot and uploads the list is empty', async () => {
  assert.equal((await call(listCertificates, await fakeDeps(), '/certificates')).body, [])
})

test.run()
