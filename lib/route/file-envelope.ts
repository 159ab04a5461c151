/** The format of every file that Proxy Manager writes: notice, checksum, record, configuration. */
import { hash } from 'node:crypto'

/** The first line of every file of ours, so that a truncated one is still recognized as ours. */
export const NOTICE =
  '# Managed by Proxy Manager. An edit by hand shows as "drifted" and is replaced by the next PUT of this route.'

const RECORD = '# record: '
/** NGINX rejects a comment that exceeds 4096 bytes with its line end (NGX_CONF_BUFFER). */
const MAX_COMMENT_BYTES = 4095
/** Pieces that always fit: a character has at most four bytes in UTF-8. */
const PIECES = /.{1,1000}/gsu

/** The text of a file: `configuration` with the header for a record, which is JSON on one line. */
export function withHeader(record: string, configuration: string): string {
  const isShort = Buffer.byteLength(RECORD + record) <= MAX_COMMENT_BYTES
  const pieces = isShort ? [record] : (record.match(PIECES) ?? [])
  const signed = pieces.map((piece) => `${RECORD}${piece}\n`).join('') + configuration
  return `${NOTICE}\n# sha256: ${sha256(signed)}\n${signed}`
}

interface Header {
  /** The parsed record. */
  readonly record: unknown
  readonly configuration: string
  /** The checksum matches. */
  readonly intact: boolean
}

/** Parses the header of a file; `undefined` if it has none, or no JSON record. */
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

/** The SHA-256 in hexadecimal. */
export function sha256(text: string): string {
  return hash('sha256', text)
}
