import * as v from 'valibot'
import { ProxyManagerError } from '../lib/errors.ts'
import { sessionCookie } from '../lib/http/access/session-cookie.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { NoParams, NoQuery } from '../lib/http/parameters.ts'

/** Opens a session of the page for people. */
export default endpoint(
  {
    operationId: 'createSession',
    summary: 'Open a session of the page for people',
    description:
      'Needs a token, like every call, and is answered only to the page itself. A session counts with both halves: the cookie, and the key as X-Session-Key. It ends after 30 minutes without use, after 12 hours, and with its token.',
    method: 'POST',
    path: '/session',
    isForReaders: true,
    params: NoParams,
    query: NoQuery,
    body: undefined,
    responses: {
      201: {
        description: 'Open',
        schema: v.object({
          key: v.pipe(v.string(), v.description('To be sent as X-Session-Key')),
          grant: v.picklist(['all', 'read']),
          name: v.pipe(v.nullable(v.string()), v.description('Whose token it is')),
        }),
        example: { key: 'b64f…', grant: 'all', name: 'api' },
        headers: { 'Set-Cookie': 'always' },
      },
    },
    errors: ['INVALID_REQUEST', 'FORBIDDEN'],
  },
  async ({ request, header }, { settings, caller, sessions, base = '' }) => {
    if (sessions === undefined || caller?.kind !== 'token')
      throw new ProxyManagerError('FORBIDDEN', { message: 'There is no session to open: this call shows no token' })
    // Browsers leave Sec-Fetch-Site out over plain HTTP to another host than loopback. A form of another site must not log anyone in.
    const site = header('sec-fetch-site')
    const isOwnPage = site === undefined ? header('origin') === new URL(request.url).origin : site === 'same-origin'
    if (!isOwnPage || !settings.PROXY_MANAGER_UI)
      throw new ProxyManagerError('FORBIDDEN', { message: 'Only the page itself may open a session' })
    const { cookie, key } = sessions.open(caller)
    const { grant, actor } = caller
    return {
      status: 201,
      body: { key, grant, name: actor?.name ?? null },
      headers: { 'set-cookie': sessionCookie(cookie, { settings, base }) },
    }
  },
)
