import * as v from 'valibot'
import { endpoint } from '../lib/http/endpoint.ts'
import { AT } from '../lib/http/openapi/samples.ts'
import { NoParams, NoQuery } from '../lib/http/parameters.ts'

const Service = v.object({
  name: v.string(),
  status: v.picklist(['available', 'unavailable', 'not_configured', 'unknown']),
  checked_at: v.nullable(v.string()),
})

/** An entry as other droplets of the mesh have it. */
const Dependency = v.object({ name: v.string(), status: v.picklist(['available', 'unavailable']) })

/** What this droplet needs, and whether it is available: of other services, as of the last check, which a call starts if it is older than a minute. */
export default endpoint(
  {
    operationId: 'udcDependencies',
    summary: 'Dependencies, in the form that every droplet of the mesh has',
    description:
      'What this droplet needs and whether it is available: NGINX and certbot now, other services as of the last check, which the first call starts. Until then required_services and the lists beside it say unknown, and optional does not have them.',
    method: 'GET',
    path: '/dependencies',
    aliases: [{ method: 'GET', path: '/proxy-manager/dependencies' }],
    params: NoParams,
    query: NoQuery,
    body: undefined,
    responses: {
      200: {
        description: 'What it needs, and whether it is available',
        schema: v.object({
          required: v.array(Dependency),
          optional: v.array(Dependency),
          missing: v.array(v.string()),
          required_services: v.array(Service),
          optional_services: v.array(Service),
          external_apis: v.array(Service),
        }),
        example: {
          required: [{ name: 'nginx', status: 'available' }],
          optional: [
            { name: 'certbot', status: 'available' },
            { name: 'registry', status: 'unavailable' },
            { name: 'acme_ca', status: 'available' },
          ],
          missing: ['registry'],
          required_services: [{ name: 'nginx', status: 'available', checked_at: AT }],
          optional_services: [
            { name: 'certbot', status: 'available', checked_at: AT },
            { name: 'registry', status: 'unavailable', checked_at: AT },
          ],
          external_apis: [{ name: 'acme_ca', status: 'available', checked_at: AT }],
        },
      },
    },
    errors: ['INVALID_REQUEST'],
  },
  async (_call, { engine }) => {
    const all = await engine.readDependencies()
    const services = all.map(({ name, required, status, checked_at }) => ({
      required,
      service: { name, status, checked_at },
    }))
    const only = (isWanted: (entry: (typeof services)[number]) => boolean) =>
      services.filter(isWanted).map(({ service }) => service)
    // Nothing is known of an optional one before its first check. A required one without a result may not be there.
    const isListed = ({ required, status }: (typeof all)[number]) =>
      required || !['not_configured', 'unknown'].includes(status)
    const dependencies = (isRequired: boolean) =>
      all
        .filter((one) => one.required === isRequired && isListed(one))
        .map(({ name, status }) => ({ name, status: status === 'available' ? status : ('unavailable' as const) }))
    const isExternal = (name: string) => name === 'acme_ca'
    return {
      status: 200,
      body: {
        required: dependencies(true),
        optional: dependencies(false),
        missing: all.filter(({ status }) => status === 'unavailable').map(({ name }) => name),
        required_services: only(({ required }) => required),
        optional_services: only(({ required, service }) => !required && !isExternal(service.name)),
        external_apis: only(({ service }) => isExternal(service.name)),
      },
    }
  },
)
