/** A malicious Registry: besides a few valid droplets it lists everything that must not become a route. */
import * as v from 'valibot'
import type { AcceptedBody } from './expected.ts'
import { AcceptedBody as Body } from './expected.ts'

/** Its list of droplets: the valid ones by their names, and the whole list. */
export function harmfulListing(port: number): {
  readonly listed: ReadonlyMap<string, AcceptedBody>
  readonly droplets: readonly unknown[]
} {
  const good = [0, 1, 2].map((i) => ({ name: `reg-${i}`, host: '127.0.0.1', port, domain: `reg-${i}.fuzz.example` }))
  const listed = new Map(
    good.map(({ name, host, domain }) => [name, v.parse(Body, { domain, upstream_host: host, upstream_port: port })]),
  )
  const place = { host: '127.0.0.1', port, domain: 'x.fuzz.example' }
  const bad = [
    ...[
      '../../etc/passwd',
      '..',
      '',
      '\0',
      'a\nb',
      '\u001b[31m',
      '__proto__',
      '$host',
      'x'.repeat(300),
      {},
      null,
      7,
    ].map((name) => ({ ...place, name })),
    ...['a.test;#', '$host', '*', 'a.test\n}', '', 7, 'localhost', '\u2028.test'].map((domain, i) => ({
      ...place,
      name: `bad-domain-${i}`,
      domain,
    })),
    ...['169.254.169.254', '0.0.0.0', 'unix:/x', '$host', '127.1', 'a;b'].map((host, i) => ({
      ...place,
      name: `bad-host-${i}`,
      domain: `h${i}.fuzz.example`,
      host,
    })),
    ...[0, -1, 65_536, 1.5, '80;', null].map((bad, i) => ({
      ...place,
      name: `bad-port-${i}`,
      domain: `p${i}.fuzz.example`,
      port: bad,
    })),
    null,
    'text',
    [],
  ]
  return { listed, droplets: [...good, ...bad] }
}
