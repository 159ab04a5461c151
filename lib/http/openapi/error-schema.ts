/** The UDC error body as JSON Schema. */
import { ERRORS } from '../../errors.ts'

/** The UDC error body. */
export const ERROR_SCHEMA = {
  type: 'object',
  required: ['error'],
  additionalProperties: false,
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message', 'details'],
      additionalProperties: false,
      properties: {
        code: { type: 'string', enum: Object.keys(ERRORS) },
        message: { type: 'string' },
        details: {
          type: 'object',
          required: ['stage', 'state', 'culprit', 'retryable', 'correlation_id'],
          properties: {
            stage: { type: 'string', description: 'Where in the context of a change it happened' },
            state: {
              type: 'string',
              enum: ['unchanged', 'rolled_back', 'degraded'],
              description: 'What became of the host: nothing changed, changed and put back, or in need of attention',
            },
            culprit: {
              type: 'string',
              enum: ['caller', 'other_route', 'host', 'upstream', 'ca'],
              description: 'Who can do something about it',
            },
            retryable: { type: 'boolean', description: 'Whether the same call may succeed later' },
            correlation_id: { type: 'string', description: 'The id of this request, as in the log' },
            remedy: { type: 'string', description: 'What to do about it' },
            issues: {
              type: 'array',
              description: 'INVALID_REQUEST: every fault at once, each with where it is',
              items: {
                type: 'object',
                required: ['path', 'message'],
                properties: { path: { type: 'string' }, message: { type: 'string' } },
              },
            },
            nginx_output: { type: 'string', description: 'What NGINX said of the configuration' },
            diagnostics: {
              type: 'array',
              description: 'The same, parsed; files are named without their folders',
              items: {
                type: 'object',
                required: ['level', 'file', 'line', 'message'],
                properties: {
                  level: { type: 'string' },
                  file: { type: ['string', 'null'] },
                  line: { type: ['integer', 'null'] },
                  message: { type: 'string' },
                },
              },
            },
            reason: { type: 'string', description: 'Why, in one word' },
            owner: {
              type: 'object',
              description: 'Who has what the call wants: a route, or a file that was written by hand',
              properties: {
                droplet_name: { type: 'string' },
                domain: { type: 'string' },
                file: { type: 'string' },
                line: { type: 'integer' },
              },
            },
            domain: { type: 'string', description: 'The name that it is about' },
            certificate_for: { type: 'string', description: 'The name that a certificate was obtained for' },
            revision: { type: ['string', 'null'], description: 'PRECONDITION_FAILED: what the route is at' },
            upstream: { type: 'string', description: 'Where the route was to lead' },
            health_status: { type: 'string', description: 'UPSTREAM_UNHEALTHY: what its health check found' },
            attempts: {
              type: 'array',
              description: 'UPSTREAM_UNHEALTHY: each address that was asked, and what came back',
              items: {
                type: 'object',
                required: ['address', 'path'],
                properties: {
                  address: { type: 'string' },
                  path: { type: 'string' },
                  status: { type: 'integer' },
                  failure: { type: 'string' },
                },
              },
            },
            errno: { type: 'string', description: "CONFIG_WRITE_FAILED: the system's word" },
            file: { type: 'string', description: 'CONFIG_WRITE_FAILED: on which file, without its folders' },
            said: { type: 'string', description: "The CA's words" },
            certbot_output: { type: 'string', description: 'What certbot said, without folders' },
            preflight: {
              type: 'array',
              description: 'What was looked at before the CA was asked',
              items: {
                type: 'object',
                properties: {
                  check: { type: 'string' },
                  domain: { type: 'string' },
                  ok: { type: 'boolean' },
                  detail: { type: 'string' },
                },
              },
            },
            retry_at: { type: 'string', description: 'SSL_RATE_LIMITED: when an order may be placed again' },
            orphaned: {
              type: 'array',
              description: 'BLAST_RADIUS: the routes that would be deleted',
              items: { type: 'string' },
            },
            count: { type: 'integer', description: 'BLAST_RADIUS: how many these are, for confirm' },
            unconfirmed: { type: 'integer', description: 'BLAST_RADIUS: how many go without confirm' },
            failure: { type: 'string', description: 'REGISTRY_UNAVAILABLE: what was wrong' },
            registry_status: { type: 'integer', description: 'REGISTRY_UNAVAILABLE: the status that it answered' },
          },
        },
      },
    },
  },
}
