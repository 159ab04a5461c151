/** proxy-manager explain */
import * as v from 'valibot'
import { callApi } from '../../api-client.ts'
import { type CommandDefinition, EXIT } from '../../command.ts'
import { Actor, describeActor } from '../../describe.ts'
import { fields } from '../../text.ts'

const Place = { file: v.nullable(v.string()), line: v.nullable(v.number()) }
const Explained = v.object({
  url: v.string(),
  summary: v.string(),
  server_block: v.object({ kind: v.string(), ...Place, listen: v.nullable(v.string()) }),
  location: v.nullable(v.object({ match: v.string(), ...Place })),
  route: v.nullable(
    v.object({
      droplet_name: v.string(),
      upstream: v.nullable(v.string()),
      status: v.string(),
      health: v.object({ status: v.string() }),
      updated_at: v.string(),
      updated_by: v.nullable(Actor),
    }),
  ),
  certificate: v.nullable(
    v.object({ domains: v.array(v.string()), issuer: v.string(), expiry: v.string(), source: v.string() }),
  ),
  nginx: v.nullable(
    v.object({
      address: v.string(),
      status: v.nullable(v.number()),
      location: v.nullable(v.string()),
      failure: v.nullable(v.string()),
    }),
  ),
  agrees: v.nullable(v.boolean()),
  elsewhere: v.optional(v.array(v.object({ kind: v.string(), ...Place, listen: v.string() })), []),
})

export const explain: CommandDefinition = {
  name: 'explain',
  summary: 'Explain what answers a URL on this host, and ask NGINX itself',
  expectsUrl: true,
  options: [],
  details: () => `Example:
  proxy-manager explain https://app.example.com/path

NGINX is asked with a HEAD of that URL, which reaches the droplet like that of
any client. The name is not looked up in DNS: it is about this host only.

Exit status: 0, or 1 if NGINX does not do what its configuration says.`,
  run: async ({ url }, context) => {
    const call = { method: 'GET', path: '/explain', query: { url } } as const
    const { json, shown } = await callApi(context, call, Explained)
    const { server_block: block, location, route, certificate, nginx, agrees, elsewhere } = shown
    const at = ({ file, line }: { readonly file: string | null; readonly line: number | null }) =>
      `${file}, line ${line}`
    return {
      json,
      text: fields({
        url: shown.url,
        summary: shown.summary,
        'server block': block.file === null ? block.kind : `${block.kind}: ${at(block)}, for ${block.listen}`,
        elsewhere: elsewhere.map((other) => `${other.kind}: ${at(other)}, for ${other.listen}`),
        location: location === null ? undefined : `${location.match}: ${at(location)}`,
        ...(route === null
          ? {}
          : {
              route: `${route.droplet_name} (${route.status})`,
              upstream: route.upstream === null ? undefined : `${route.upstream} (${route.health.status})`,
              updated: `${route.updated_at}${route.updated_by === null ? '' : `, by ${describeActor(route.updated_by)}`}`,
            }),
        certificate:
          certificate === null
            ? undefined
            : [
                certificate.domains.join(', '),
                `${certificate.issuer}, until ${certificate.expiry} (${certificate.source})`,
              ],
        nginx:
          nginx === null
            ? 'not asked'
            : `${nginx.address}: ${nginx.status ?? nginx.failure}${nginx.location === null ? '' : ` ${nginx.location}`}`,
        'as configured': agrees === null ? 'not known' : agrees ? 'yes' : 'no',
      }),
      exitStatus: agrees === false ? EXIT.refused : EXIT.ok,
    }
  },
}
