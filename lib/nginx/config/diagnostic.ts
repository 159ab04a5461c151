/** What NGINX says of a configuration, as data. */
import { basename } from 'node:path'

/** One line of NGINX's error output; `file` without folders, both null where the line names no place. */
export interface Diagnostic {
  readonly level: string
  readonly file: string | null
  readonly line: number | null
  readonly message: string
}

/** Parses the output of `nginx -t`, or lines of an error log. Lines of another form are left out. */
export function parseDiagnostics(output: string): Diagnostic[] {
  return output.split('\n').flatMap((text) => {
    const match =
      /^nginx: \[(\w+)\] (.*)$/.exec(text) ?? /^\d{4}\/\d\d\/\d\d [\d:]+ \[(\w+)\] \d+#\d+: (?:\*\d+ )?(.*)$/.exec(text)
    if (match === null) return []
    const [, level = '', said = ''] = match
    const place = /^(.*) in (\S+):(\d+)$/.exec(said)
    const message = withoutFolders(place?.[1] ?? said)
    return [
      {
        level,
        file: place?.[2] === undefined ? null : basename(place[2]),
        line: place ? Number(place[3]) : null,
        message,
      },
    ]
  })
}

/** NGINX's words for an answer: every path is cut to its last segment, so that no folder of the host is told. */
export function publicOutput(output: string): string {
  return output.split('\n').map(withoutFolders).join('\n').trim()
}

/**
 * A warning that NGINX accepts and we do not: two blocks with one name, of which the first takes all traffic. Only those about names of ours
 * count, so that a host's old warnings do not stop a change.
 */
export function findUnacceptable(
  diagnostics: readonly Diagnostic[],
  isOurs: (domain: string) => boolean,
): Diagnostic | undefined {
  return diagnostics.find(({ message }) => {
    const name = /conflicting server name "([^"]+)"/.exec(message)?.[1]
    return name !== undefined && isOurs(name)
  })
}

function withoutFolders(text: string): string {
  return text.replace(/(?<![\w/])\/(?!\/)(?:[^\s":;()]+\/)+([^\s":;()]*)/g, '$1')
}
