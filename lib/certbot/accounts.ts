/**
 * certbot's accounts at a CA: directories `accounts/<server>/<id>/` in its configuration directory (certbot/_internal/account.py). With two of
 * them, certbot asks which one to use, so that every order names one.
 */
import * as v from 'valibot'
import type { Host } from '../host/host.ts'
import { readRecord, writeRecord } from '../host/json-record.ts'
import { findAccountLine, readCliIni } from './cli-ini.ts'

type AccountHost = Pick<Host, 'settings' | 'paths' | 'files' | 'log'>

/** The accounts that were made here: server -> id. */
const OwnAccounts = v.record(v.string(), v.string())

/** What an account consists of, with certbot's modes. */
const FILES = [
  ['regr.json', 0o644],
  ['meta.json', 0o644],
  ['private_key.json', 0o400],
] as const

/**
 * The account to order with: the one that the lineage is renewed with, the one that was made here for this server, the only one, or the one that
 * the system's cli.ini names. `undefined` if there is none of these, or the CA has forgotten it.
 */
export function findAccount(
  host: AccountHost,
  server: string,
  lineage: string,
  forgotten: ReadonlySet<string>,
): string | undefined {
  const { files, settings, paths } = host
  const folder = accountsFolder(settings.CERTBOT_CONFIG_DIR, server)
  const present = files.list(folder).filter((id) => isComplete(host, `${folder}/${id}`))
  const renewal = files.read(`${settings.CERTBOT_CONFIG_DIR}/renewal/${lineage}.conf`)?.text ?? ''
  const own = readRecord(host, paths.accounts, OwnAccounts)?.[server]
  const only = present.length === 1 ? present : []
  const wanted = [/^account = (\S+)$/m.exec(renewal)?.[1], own, ...only, findAccountLine(readCliIni(host))?.account]
  return wanted.find((id) => id !== undefined && present.includes(id) && !forgotten.has(id))
}

/**
 * Puts the account that certbot has made in another configuration directory beside the others, and remembers it.
 * @returns its id; `undefined` if that directory has none
 * @throws {Error} Node's error if it cannot be written
 */
export async function adoptAccount(host: AccountHost, server: string, from: string): Promise<string | undefined> {
  const { files, settings, paths } = host
  const source = accountsFolder(from, server)
  const id = files.list(source).find((name) => isComplete(host, `${source}/${name}`))
  if (id === undefined) return undefined
  // certbot's own mode: others may pass through it to a lineage.
  if (files.realPath(settings.CERTBOT_CONFIG_DIR) === undefined)
    await files.makeFolder(settings.CERTBOT_CONFIG_DIR, 0o755)
  const target = `${accountsFolder(settings.CERTBOT_CONFIG_DIR, server)}/${id}`
  await files.makeFolder(target, 0o700)
  for (const [name, mode] of FILES) {
    await files.remove(`${target}/${name}`)
    await files.write(`${target}/${name}`, files.read(`${source}/${id}/${name}`)?.text ?? '', mode)
  }
  const others = readRecord(host, paths.accounts, OwnAccounts)
  await writeRecord(host, paths.accounts, { ...others, [server]: id }, 'record_account')
  return id
}

/** As certbot names it: the URL without its scheme, query and fragment. */
function accountsFolder(configDir: string, server: string): string {
  return `${configDir}/accounts/${server.replace(/^\w+:\/\//, '').replace(/[?#;].*$/, '')}`
}

/** A crash of certbot, or of this process, leaves parts of an account. */
function isComplete({ files }: AccountHost, folder: string): boolean {
  return FILES.every(([name]) => isJson(files.read(`${folder}/${name}`)?.text ?? ''))
}

function isJson(text: string): boolean {
  try {
    return typeof JSON.parse(text) === 'object'
  } catch {
    return false
  }
}
