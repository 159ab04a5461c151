/** Whether the host's configuration reads a lineage: then it is neither moved nor deleted. */
import { lineagePaths } from '../certificates/lineage.ts'
import type { ChangeContext } from '../change/context.ts'
import { namedFiles, readerOf } from '../nginx/config/named-files.ts'
import { routeFileName } from '../route/droplet-name.ts'

/**
 * Reads every file of NGINX's configuration; that of a route only if it was edited by hand, since it names no file of certbot's otherwise. The result
 * says which file and line name something of a lineage; `undefined` if none does.
 */
export async function lineageReaders({ host, observe }: ChangeContext): Promise<(name: string) => string | undefined> {
  const { snapshot, tree } = await observe([])
  const intact = new Set(
    [...snapshot.routes].flatMap(([name, { drifted }]) =>
      drifted ? [] : [`${snapshot.sitesEnabled}/${routeFileName(name)}`],
    ),
  )
  const named = namedFiles(snapshot.host.files, tree, (path) => intact.has(path))
  return (name) => {
    const paths = lineagePaths(host, name)
    const reader = readerOf(named, [...paths, ...paths.flatMap((path) => host.files.realPath(path) ?? [])])
    return reader === undefined ? undefined : `${reader.file}, line ${reader.line}`
  }
}
