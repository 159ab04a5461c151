/** What stands in a candidate for routes that NGINX has accepted before. */

/** What is kept of one server block, in the words in which it was printed. */
export interface ServerNames {
  /** Its `listen` directives, a line each. */
  readonly listens: string
  /** Its `server_name` directive. */
  readonly names: string
  readonly isSecure: boolean
}

/** The server blocks of a route's file, which must be as it was written: each begins and ends at the start of a line. */
export function readServerNames(text: string): readonly ServerNames[] {
  const blocks = [...text.matchAll(/^server \{\n([\s\S]*?)^\}$/gm)].map(([, block = '']) => block)
  return blocks.map((block) => {
    const lines = (name: string) => block.match(new RegExp(`^    ${name} .+;\n`, 'gm'))?.join('') ?? ''
    return { listens: lines('listen'), names: lines('server_name'), isSecure: lines('ssl_certificate') !== '' }
  })
}

/**
 * One server block for all names that listen alike: nothing but its names is there for a change elsewhere to clash with. Where certificates
 * would stand the handshake is refused (NGINX 1.19.4), since what a test takes the most time for is loading each of them.
 */
export function renderPlaceholder(servers: readonly ServerNames[]): string {
  const alike = Map.groupBy(servers, ({ listens, isSecure }) =>
    isSecure ? `${listens}    ssl_reject_handshake on;\n` : listens,
  )
  return [...alike].map(([head, group]) => `server {\n${head}${group.map(({ names }) => names).join('')}}\n`).join('')
}
