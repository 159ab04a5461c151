import * as v from 'valibot'
import { sessionCookie, sessionIn } from '../lib/http/access/session-cookie.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { NoParams, NoQuery } from '../lib/http/parameters.ts'

/** Ends a session of the page for people. */
export default endpoint(
  {
    operationId: 'endSession',
    summary: 'End a session of the page for people',
    description: 'Of the session with which this is called; it ends at once, for its streams as well.',
    method: 'DELETE',
    path: '/session',
    isForReaders: true,
    params: NoParams,
    query: NoQuery,
    body: undefined,
    responses: {
      200: {
        description: 'Ended',
        schema: v.object({ status: v.literal('ended') }),
        example: { status: 'ended' },
        headers: { 'Set-Cookie': 'always' },
      },
    },
    errors: ['INVALID_REQUEST'],
  },
  async ({ request }, { settings, sessions, base = '' }) => {
    const halves = sessionIn(request, { settings, base })
    if (halves !== undefined) sessions?.end(halves)
    return {
      status: 200,
      body: { status: 'ended' },
      headers: { 'set-cookie': sessionCookie(null, { settings, base }) },
    }
  },
)
