import * as v from 'valibot'
import { ProxyManagerError } from '../lib/errors.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { SECURITY_HEADERS } from '../lib/http/page/page-files.ts'
import { NoQuery } from '../lib/http/parameters.ts'

/** A script or the style of the page for people. Its name has a hash of its content. */
export default endpoint(
  {
    operationId: 'getPageAsset',
    summary: 'A script or the style of the page for people',
    description: 'Immutable: another version has another name.',
    method: 'GET',
    path: '/ui/assets/:name',
    isPage: true,
    params: v.strictObject({ name: v.string() }),
    query: NoQuery,
    body: undefined,
    contentType: 'text/plain; charset=utf-8',
    responses: { 200: { description: 'The file', schema: v.string(), example: '' } },
    errors: ['NOT_FOUND'],
  },
  async ({ params: { name } }, { settings, page }) => {
    const asset = settings.PROXY_MANAGER_UI ? page?.().assets.get(name) : undefined
    if (asset === undefined) throw new ProxyManagerError('NOT_FOUND')
    const headers = { 'content-type': asset.contentType, 'cache-control': 'public, max-age=31536000, immutable' }
    return { status: 200, body: asset.text, headers: { ...SECURITY_HEADERS, ...headers } }
  },
)
