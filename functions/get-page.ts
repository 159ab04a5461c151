import * as v from 'valibot'
import { ProxyManagerError } from '../lib/errors.ts'
import { PAGE_PATH } from '../lib/http/access/guard.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { SECURITY_HEADERS } from '../lib/http/page/page-files.ts'
import { NoParams } from '../lib/http/parameters.ts'

/** The page for people. A browser that asks for the root is sent to it; machines find nothing there. */
export default endpoint(
  {
    operationId: 'getPage',
    summary: 'The page for people',
    description: 'It has no data: it is a client of this API.',
    method: 'GET',
    path: PAGE_PATH,
    aliases: [{ method: 'GET', path: '/' }],
    isPage: true,
    params: NoParams,
    query: v.looseObject({}),
    body: undefined,
    contentType: 'text/html; charset=utf-8',
    responses: { 200: { description: 'The page', schema: v.string(), example: '<!doctype html>' } },
    errors: ['NOT_FOUND'],
  },
  async ({ request, header }, { settings, page, base = '' }) => {
    if (page === undefined || !settings.PROXY_MANAGER_UI) throw new ProxyManagerError('NOT_FOUND')
    const { pathname: path } = new URL(request.url)
    const isBare = !path.slice(base.length).startsWith(PAGE_PATH.slice(0, -1))
    if (isBare && !(header('accept') ?? '').includes('text/html')) throw new ProxyManagerError('NOT_FOUND')
    // Relative: a proxy in front may have its own path there.
    const last = path.slice(path.lastIndexOf('/') + 1)
    const location = isBare && last !== '' ? `${last}${PAGE_PATH}` : PAGE_PATH.slice(1)
    if (!path.endsWith(PAGE_PATH)) return { status: 302, body: '', headers: { location } }
    return { status: 200, body: page().page, headers: { ...SECURITY_HEADERS, 'cache-control': 'no-cache' } }
  },
)
