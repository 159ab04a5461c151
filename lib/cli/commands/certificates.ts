/** proxy-manager certificates, upload-certificate and delete-certificate */

import { InvalidArgumentError, Option } from 'commander'
import * as v from 'valibot'
import { callApi } from '../api-client.ts'
import { type CliContext, type CommandDefinition, CommandFailure, EXIT } from '../command.ts'
import { describePlan, Planned } from '../describe.ts'
import { fields, table } from '../text.ts'

const Entry = v.object({
  source: v.string(),
  name: v.string(),
  expiry: v.nullable(v.string()),
  certificate: v.nullable(v.object({ issuer: v.string(), domains: v.array(v.string()) })),
  fault: v.optional(v.string()),
  users: v.array(v.string()),
  last_attempt: v.nullable(v.object({ at: v.string(), result: v.string() })),
  budget_left: v.nullable(v.object({ failures: v.number(), certificates: v.number() })),
})
const Stored = v.object({
  ...Entry.entries,
  skipped: v.array(v.string()),
  receipt: v.optional(v.object({ reloaded: v.boolean(), proved_by: v.string() })),
})

export const certificates: CommandDefinition = {
  name: 'certificates',
  summary: 'List every certificate with the routes that use it',
  options: [],
  details: () => `Examples:
  proxy-manager certificates
  proxy-manager certificates --json | jq -r '.[] | select(.users == []).name'

SOURCE is own for a lineage that Proxy Manager ordered, lineage for another one
of certbot, uploaded for one of "proxy-manager upload-certificate".`,
  run: async (_invocation, context) => {
    const { json, shown } = await callApi(context, { method: 'GET', path: '/certificates' }, v.array(Entry))
    const rows = shown.map(
      ({ name, source, expiry, certificate, fault, users, last_attempt: last, budget_left: left }) => [
        name,
        source,
        certificate?.domains.join(' ') ?? fault ?? '-',
        expiry?.slice(0, 10) ?? '-',
        users.join(' ') || '-',
        last === null ? '-' : `${last.result} ${last.at.slice(0, 10)}`,
        left === null ? '-' : `${left.certificates} orders, ${left.failures} failures`,
      ],
    )
    const heading = ['NAME', 'SOURCE', 'NAMES', 'UNTIL', 'USED BY', 'LAST ORDER', 'LEFT']
    const width = context.isTerminal ? context.columns : undefined
    return { json, text: rows.length === 0 ? 'No certificates found.' : table(heading, rows, width) }
  },
}

const DRY_RUN = new Option('--dry-run', 'Show what would change, without changing anything')

export const uploadCertificate: CommandDefinition = {
  name: 'upload-certificate',
  summary: 'Upload a certificate, or replace it on every route that uses it',
  expectsName: 'Name of the certificate',
  options: [
    new Option('--certificate <file>', 'The certificate and its chain, as PEM (required)'),
    new Option('--key <file>', 'Its private key, as PEM (required)'),
    DRY_RUN,
  ],
  details: () => `Examples:
  proxy-manager upload-certificate corp --certificate fullchain.pem --key privkey.pem
  proxy-manager put app --certificate corp

Exit status 0: every route that uses it is served with the new one. The key is
never shown again. Nothing renews it: upload the next one before it expires.`,
  run: async ({ name, options }, context) => {
    const body = {
      certificate: readPem(context, options.certificate, '--certificate'),
      private_key: readPem(context, options.key, '--key'),
    }
    const call = { method: 'PUT', path: certificatePath(name), body, query: { dry_run: options.dryRun } } as const
    if (options.dryRun) {
      const { json, shown } = await callApi(context, call, Planned)
      return describePlan(json, shown)
    }
    const { json, shown } = await callApi(context, call, Stored)
    return {
      json,
      text: fields({
        name,
        certificate: `${shown.certificate?.issuer}, until ${shown.expiry}`,
        domains: shown.certificate?.domains.join(' '),
        'used by': shown.users.join(' ') || 'no route',
        'not switched': shown.skipped,
        served: shown.receipt?.reloaded === true ? `proved by ${shown.receipt.proved_by}` : undefined,
      }),
    }
  },
}

export const deleteCertificate: CommandDefinition = {
  name: 'delete-certificate',
  summary: 'Delete an uploaded certificate that no route uses',
  expectsName: 'Name of the certificate',
  options: [DRY_RUN],
  details: () => 'Example:\n  proxy-manager delete-certificate corp',
  run: async ({ name, options }, context) => {
    const call = { method: 'DELETE', path: certificatePath(name), query: { dry_run: options.dryRun } } as const
    if (options.dryRun) {
      const { json, shown } = await callApi(context, call, Planned)
      return describePlan(json, shown)
    }
    const { json } = await callApi(context, call, v.object({ status: v.literal('deleted') }))
    return { json, text: `${name} deleted.` }
  },
}

/** The name is escaped, not checked: the API does that. */
function certificatePath(name: string): string {
  return `/certificates/${encodeURIComponent(name)}`
}

/**
 * The text of a file that a flag names.
 * @throws {InvalidArgumentError} if the flag is missing
 * @throws {CommandFailure} if the file cannot be read
 */
function readPem({ read }: CliContext, path: unknown, flag: string): string {
  if (typeof path !== 'string') throw new InvalidArgumentError(`${flag} is required`)
  const file = read(path)
  if ('failure' in file) throw new CommandFailure(EXIT.usage, `${path} cannot be read (${file.failure})`)
  return file.text
}
