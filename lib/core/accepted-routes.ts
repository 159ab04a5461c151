/** What stands in a candidate for routes that NGINX has accepted before. */
import { type Directive, printNginx } from './nginx-print.ts'

/** The names of one server block, and where it listens: `443 ssl http2`. */
export interface ServerNames {
  readonly listens: readonly string[]
  readonly names: readonly string[]
  readonly isSecure: boolean
}

/** The server blocks of a route's file, which must be as it was written: each begins and ends at the start of a line. */
export function readServerNames(text: string): readonly ServerNames[] {
  const blocks = [...text.matchAll(/^server \{\n([\s\S]*?)^\}$/gm)].map(([, block = '']) => block)
  return blocks.map((block) => {
    const values = (name: string) =>
      [...block.matchAll(new RegExp(`^    ${name} (.+);$`, 'gm'))].map(([, value = '']) => value)
    return {
      listens: values('listen'),
      names: values('server_name').flatMap((names) => names.split(' ')),
      isSecure: values('ssl_certificate').length > 0,
    }
  })
}

/**
 * One server block for all names that listen alike: nothing but its names is there for a change elsewhere to clash with. Where certificates
 * would stand the handshake is refused (NGINX 1.19.4), since what a test takes the most time for is loading each of them.
 */
export function renderStandIn(servers: readonly ServerNames[]): string {
  const alike = Map.groupBy(servers, ({ listens, isSecure }) => `${isSecure} ${listens.join(';')}`)
  const blocks = [...alike.values()].flatMap((group): Directive[] => {
    const [first] = group
    if (first === undefined) return []
    const listens = first.listens.map((listen): Directive => ['listen', listen.split(' ')])
    const names = group.map((server): Directive => ['server_name', [...server.names]])
    const refusal: Directive[] = first.isSecure ? [['ssl_reject_handshake', ['on']]] : []
    return [['server', [], [...listens, ...names, ...refusal]]]
  })
  return printNginx(blocks)
}
