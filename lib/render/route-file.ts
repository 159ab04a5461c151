/** Route files: header and directives. */
import { printNginx } from '../nginx/config/print.ts'
import { withHeader } from '../route/file-envelope.ts'
import type { RouteRecord } from '../route/record.ts'
import type { RenderContext } from './context.ts'
import { routeDirectives } from './server-block.ts'

/**
 * The whole text of a route's file.
 * @throws {ProxyManagerError} INTERNAL if the record contains text that NGINX's syntax cannot express
 */
export function renderRouteFile(record: RouteRecord, context: RenderContext): string {
  return withHeader(JSON.stringify(record), printNginx(routeDirectives(record, context)))
}
