/** The envelope of every file that Proxy Manager writes: notice, checksum, record, configuration. */
import { createHash } from 'node:crypto'

/** Begins every file of ours, so that a torn one is still known as ours. */
export const NOTICE =
  '# Managed by Proxy Manager. An edit by hand shows as "drifted" and is replaced by the next PUT of this route.'

const RECORD = '# record: '
/** In bytes: NGINX reads a comment only if it fits into 4096 of them with the line's end (NGX_CONF_BUFFER). */
const MAX_COMMENT_BYTES = 4095
/** What fits in any case: no character has more than four bytes. */
const PIECES = /.{1,1000}/gsu

export function withHeader(record: string, configuration: string): string {
  const isShort = Buffer.byteLength(RECORD + record) <= MAX_COMMENT_BYTES
  const pieces = isShort ? [record] : (record.match(PIECES) ?? [])
  const signed = pieces.map((piece) => `${RECORD}${piece}\n`).join('') + configuration
  return `${NOTICE}\n# sha256: ${sha256(signed)}\n${signed}`
}

interface Header {
  readonly record: unknown
  readonly configuration: string
  readonly intact: boolean
}

export function readHeader(text: string): Header | undefined {
  const match = /^#[^\n]*\n# sha256: ([0-9a-f]{64})\n(((?:# record: [^\n]*\n)+)([\s\S]*))$/.exec(text)
  if (match === null) return undefined
  const [, checksum, signed = '', lines = '', configuration = ''] = match
  const json = lines.slice(RECORD.length, -1).replaceAll(`\n${RECORD}`, '')
  try {
    return { record: JSON.parse(json), configuration, intact: sha256(signed) === checksum }
  } catch {
    return undefined
  }
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
