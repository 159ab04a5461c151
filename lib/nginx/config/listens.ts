/** Which server block owns a name, which addresses to listen on, which default servers exist. */
import { type Listen, readListen, type UnmanagedServer } from './host-config.ts'

/**
 * The hand-written server block that already serves a domain on one of these ports, if any. Wildcards and regular expressions do not count:
 * an exact name takes precedence over them.
 */
export function ownerOf(
  domain: string,
  servers: readonly UnmanagedServer[],
  ports: readonly number[],
): UnmanagedServer | undefined {
  return servers.find(
    (server) =>
      server.listens.some((listen) => ports.includes(listen.port)) &&
      server.names.some((name) => name === domain || name === `.${domain}` || name === `${domain}.`),
  )
}

/**
 * The addresses on which our server blocks must listen to be reached on a port: the wildcards, and every specific address that the host's own
 * blocks listen on, since NGINX matches names only among the blocks of the most specific address ("How nginx processes a request").
 */
export function listenAddresses(servers: readonly UnmanagedServer[], port: number, hasIpv6: boolean): string[] {
  const listens = servers.flatMap((server) => server.listens).filter((listen) => listen.port === port)
  const isDualStack = listens.some((listen) => listen.address === '[::]' && listen.options.includes('ipv6only=off'))
  const wildcards = isDualStack ? [`[::]:${port}`] : hasIpv6 ? [`${port}`, `[::]:${port}`] : [`${port}`]
  const specific = listens.filter((listen) => listen.address !== '*' && listen.address !== '[::]')
  return [...wildcards, ...new Set(specific.map((listen) => `${listen.address}:${port}`))]
}

/** Those of {@link listenAddresses} for which the host has no default server of its own: NGINX rejects a second one. */
export function withoutDefaultServer(addresses: readonly string[], servers: readonly UnmanagedServer[]): string[] {
  const isDefault = (listen: Listen) => listen.options.includes('default_server') || listen.options.includes('default')
  const taken = servers.flatMap((server) => server.listens.filter(isDefault))
  return addresses.filter((address) => {
    const [own] = readListen([address])
    return !taken.some((listen) => listen.address === own?.address && listen.port === own.port)
  })
}

/** Hand-written blocks meant as default servers, but without `default_server`: our catch-all receives the unknown names instead of them. */
export function implicitDefaultServers(servers: readonly UnmanagedServer[], port: number): readonly UnmanagedServer[] {
  return servers.filter(
    ({ names, listens }) =>
      (names.length === 0 || names.includes('_') || names.includes('')) &&
      listens.some(
        (listen) => listen.port === port && !listen.options.some((option) => /^default(_server)?$/.test(option)),
      ),
  )
}
