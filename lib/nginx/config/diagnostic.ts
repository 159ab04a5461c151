/** NGINX's messages about a configuration, parsed. */
import { basename } from 'node:path'

/** One line of NGINX's error output; `file` is without directories, `file` and `line` are null if the message names no position. */
export interface Diagnostic {
  readonly level: string
  readonly file: string | null
  readonly line: number | null
  readonly message: string
}

/** Parses the output of `nginx -t`, or lines of an error log. Other lines are skipped. */
export function parseDiagnostics(output: string): Diagnostic[] {
  return output.split('\n').flatMap((text) => {
    const match =
      /^nginx: \[(\w+)\] (.*)$/.exec(text) ?? /^\d{4}\/\d\d\/\d\d [\d:]+ \[(\w+)\] \d+#\d+: (?:\*\d+ )?(.*)$/.exec(text)
    if (match === null) return []
    const [, level = '', body = ''] = match
    const place = /^(.*) in (\S+):(\d+)$/.exec(body)
    const message = withoutFolders(place?.[1] ?? body)
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

/** NGINX's output for a response: every path is cut to its last segment, so that no directory of the host is disclosed. */
export function publicOutput(output: string): string {
  return output.split('\n').map(withoutFolders).join('\n').trim()
}

/**
 * Finds a warning that must fail the test: two server blocks with the same name, of which the first gets all requests. Only those about names of
 * ours count, so that existing warnings of the host do not block a change.
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

/**
 * What the operator can do about a failure that no other request would avoid: a hash size of the host that is too small (ngx_hash_init), or that
 * comes after our maps (ngx_http_map_block), or a directive in a file of ours that this NGINX does not have.
 */
export function hostRemedy(
  diagnostics: readonly Diagnostic[],
  isOwnFile: (file: string) => boolean,
): string | undefined {
  for (const { level, file, message } of diagnostics) {
    if (level !== 'emerg') continue
    const [, directive, size] = /you should increase (?:either )?(\w+): (\d+)/.exec(message) ?? []
    if (directive !== undefined)
      return `Raise ${directive} in the http block of NGINX's configuration, such as "${directive} ${2 * Number(size)};" (it is ${size})`
    const late = /^"(map_hash_\w+)" directive is duplicate/.exec(message)?.[1]
    if (late !== undefined && file !== null)
      return `Move ${late} from ${file} to the http block of nginx.conf, in front of the include of sites-enabled: NGINX does not accept it after a map`
    const unknown = /unknown directive "\w+"|the "\w+" parameter requires \w+/.exec(message)?.[0]
    if (unknown !== undefined && file !== null && isOwnFile(file))
      return `Install an NGINX that has what it lacks (${unknown}), such as Debian's`
  }
  return undefined
}

function withoutFolders(text: string): string {
  return text.replace(/(?<![\w/])\/(?!\/)(?:[^\s":;()]+\/)+([^\s":;()]*)/g, '$1')
}

/** The line of a failed test that says most. */
export function firstProblem(output: string): string {
  const lines = output.split('\n')
  const worst = ['[emerg]', '[warn]'].flatMap((level) => lines.find((line) => line.includes(level)) ?? [])
  return worst[0] ?? lines[0] ?? ''
}
