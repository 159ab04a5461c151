/** Route files: header and directives. */
import { printNginx, printUnchecked } from '../nginx/config/print.ts'
import { withHeader } from '../route/file-envelope.ts'
import { type RouteRecord, recordText } from '../route/record.ts'
import type { PlaceInSite } from '../route/site.ts'
import type { RenderContext } from './context.ts'
import { routeDirectives } from './server-block.ts'

/**
 * The whole text of a route's file.
 * @throws {ProxyManagerError} INTERNAL if the record contains text that NGINX's syntax cannot express
 */
export function renderRouteFile(record: RouteRecord, context: RenderContext, place: PlaceInSite = {}): string {
  return withHeader(recordText(record), printNginx(routeDirectives(record, context, place)))
}

/** Whether a text is what this record would be rendered as. Such a text was checked when it was written. */
export function isRenderedAs(text: string, record: RouteRecord, context: RenderContext, place: PlaceInSite): boolean {
  return text === withHeader(recordText(record), printUnchecked(routeDirectives(record, context, place)))
}
