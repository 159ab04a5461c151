/** The placeholder in a candidate for routes that NGINX has already accepted. */

/** The parts of a server block that the placeholder keeps, as text. */
export interface ServerNames {
  /** Its `listen` directives, one per line. */
  readonly listens: string
  /** Its `server_name` directive. */
  readonly names: string
  /** It has a certificate. */
  readonly isSecure: boolean
}

/** What the placeholder keeps of a route file. */
export interface Kept {
  readonly servers: readonly ServerNames[]
  /** What the server blocks of another file name, as empty blocks: with server blocks of its own, a file names its upstream itself. */
  readonly defined: readonly string[]
}

/** Reads an unedited route file. */
export function readKept(text: string): Kept {
  const servers = readServerNames(text)
  if (servers.length > 0) return { servers, defined: [] }
  const heads = [...text.matchAll(/^(upstream|map) .+ \{$/gm)]
  const defined = heads.map(
    ([head, name]) => `${head}\n    ${name === 'map' ? 'default ""' : 'server 127.0.0.1'};\n}\n`,
  )
  return { servers, defined }
}

/** Reads the server blocks of an unedited route file: each begins and ends at the start of a line. */
function readServerNames(text: string): readonly ServerNames[] {
  const blocks = [...text.matchAll(/^server \{\n([\s\S]*?)^\}$/gm)].map(([, block = '']) => block)
  return blocks.map((block) => {
    const lines = (name: string) => block.match(new RegExp(`^    ${name} .+;\n`, 'gm'))?.join('') ?? ''
    return { listens: lines('listen'), names: lines('server_name'), isSecure: lines('ssl_certificate') !== '' }
  })
}

/**
 * One server block for all names with the same listens: only names can conflict with a change elsewhere. Instead of a certificate it has
 * `ssl_reject_handshake` (NGINX 1.19.4), since loading certificates takes most of a test's time.
 */
export function renderPlaceholder(kept: readonly Kept[]): string {
  const servers = kept.flatMap((one) => one.servers)
  const alike = Map.groupBy(servers, ({ listens, isSecure }) =>
    isSecure ? `${listens}    ssl_reject_handshake on;\n` : listens,
  )
  const blocks = [...alike].map(([head, group]) => `server {\n${head}${group.map(({ names }) => names).join('')}}\n`)
  return [...kept.flatMap((one) => one.defined), ...blocks].join('')
}
