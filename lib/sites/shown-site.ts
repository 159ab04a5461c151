/** A hand-written site as the API shows it. */
import * as v from 'valibot'
import { DropletName } from '../route/droplet-name.ts'
import type { Finding } from './findings.ts'
import type { JudgedSite } from './judge.ts'
import type { SiteRoute } from './routes.ts'

const text = (help: string) => v.pipe(v.string(), v.description(help))

export const SiteFinding = v.object({
  file: text('The file, or one that it includes'),
  line: v.number(),
  directive: v.string(),
  text: text('What a route does otherwise, or why it cannot do it'),
})

export const Site = v.object({
  file: text('Its path from the directory of nginx.conf; pass this to adopt it'),
  verdict: v.pipe(
    v.picklist(['adoptable', 'adoptable_with_differences', 'refused']),
    v.description('Whether routes can serve what the whole file serves'),
  ),
  servers: v.pipe(
    v.array(v.object({ line: v.number(), names: v.array(v.string()), listens: v.array(v.string()) })),
    v.description('Its server blocks'),
  ),
  routes: v.pipe(
    v.array(
      v.object({
        droplet_name: DropletName,
        body: v.pipe(v.record(v.string(), v.unknown()), v.description('As a PUT takes it')),
      }),
    ),
    v.description('The routes that would serve it; none if it is refused'),
  ),
  differences: v.pipe(v.array(SiteFinding), v.description('What the routes would do otherwise')),
  refusals: v.pipe(v.array(SiteFinding), v.description('What no route can do')),
})

/**
 * A judged site in an answer. A hand-written file may have secrets in any directive: for those who may only read, its directives have no arguments, and
 * the values of its headers are a text that no PUT accepts.
 */
export function shownSite(judged: JudgedSite, isForReader: boolean): v.InferInput<typeof Site> {
  const { site, verdict, servers, routes } = judged
  const shownFinding = (finding: Finding) =>
    isForReader ? { ...finding, directive: finding.directive.split(' ')[0] ?? '' } : finding
  const shownBody = ({ body }: SiteRoute) => (isForReader ? withoutValues(body) : { ...body })
  return {
    file: site.name,
    verdict,
    servers: servers.map(({ line, names, listens }) => ({ line, names: [...names], listens: [...listens] })),
    routes: routes.map((route) => ({ droplet_name: route.droplet_name, body: shownBody(route) })),
    differences: judged.differences.map(shownFinding),
    refusals: judged.refusals.map(shownFinding),
  }
}

const WithHeaders = v.looseObject({ request_headers: v.record(v.string(), v.nullable(v.string())) })

function withoutValues(body: SiteRoute['body']): Record<string, unknown> {
  const { options } = body
  if (!v.is(WithHeaders, options)) return { ...body }
  const headers = Object.entries(options.request_headers).map(([name, value]) => [name, value === null ? null : '…'])
  return { ...body, options: { ...options, request_headers: Object.fromEntries(headers) } }
}
