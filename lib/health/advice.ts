/** What could be better on a host that works: sentences that say what to do. */
import { implicitDefaultServers } from '../nginx/config/listens.ts'
import { overdueAdvice } from '../nginx/draining.ts'
import { restartAdvice } from '../nginx/running-build.ts'
import { hasModule } from '../render/context.ts'
import { lackingFeatures } from '../render/unsupported.ts'
import { securedNames } from '../route/names.ts'
import { type Check, installAnother, routesOf, when } from './facts.ts'

export const ADVICE: readonly Check[] = [
  ({ unhealthyDroplets: { length } }) =>
    when(length > 0, `${length} of the upstreams fail their health checks: see GET /proxies?health=unhealthy`),
  ({ running, nginxVersion }) => restartAdvice(running, nginxVersion),
  ({ snapshot }) => {
    const { https, options } = lackingFeatures(snapshot.context)
    const isDegraded = routesOf(snapshot).some(({ record }) => record.enable_ssl)
    return [...(isDegraded ? [] : https), ...options].map(installAnother)
  },
  ({ isNginxPresent, snapshot }) =>
    when(
      isNginxPresent && !hasModule(snapshot.context, 'realip'),
      'This NGINX was built without ngx_http_realip_module: behind another proxy every client has the address of that proxy',
    ),
  ({ hasMainConfig, snapshot }) =>
    when(
      hasMainConfig && !snapshot.host.mainDirectives.has('worker_shutdown_timeout'),
      'set "worker_shutdown_timeout 1h;" at the top of nginx.conf, outside its http block: without it an open WebSocket keeps an old worker alive for ever',
    ),
  ({ overdueWorkers }) => overdueWorkers.map(overdueAdvice),
  ({ snapshot: { context, host } }) =>
    when(
      [...context.httpListens, ...context.httpsListens].some((listen) => listen.includes(' proxy_protocol')) &&
        !host.httpDirectives.has('real_ip_header'),
      'set "real_ip_header proxy_protocol;" and set_real_ip_from in the http block: without them routes see the address of the load balancer that sends the PROXY protocol',
    ),
  ({ snapshot }) => {
    const redirected = routesOf(snapshot).filter(({ record }) => securedNames(record).length > 0)
    return when(
      snapshot.context.trustedProxies.length > 0 && redirected.length > 0,
      `plain HTTP is redirected to HTTPS by ${redirected.map(({ record }) => record.droplet_name).join(', ')}: a route whose clients come through a proxy that ends TLS and speaks HTTP to this host loops, and needs "enable_ssl": false`,
    )
  },
  ({ snapshot: { context }, settings: { NGINX_HTTP_PORT: port } }) =>
    when(
      context.httpListens.every((listen) => /^(127\.|\[::1\]|localhost:)/.test(listen)),
      `NGINX listens only on loopback addresses at port ${port}, so routes are not reached from elsewhere: add "listen ${port};" to a server block, and restart NGINX`,
    ),
  ({ snapshot, settings }) =>
    implicitDefaultServers(snapshot.host.servers, settings.NGINX_HTTP_PORT).map(
      ({ file, line }) =>
        `the server block in ${file}, line ${line}, no longer receives requests for unknown names; add default_server to its listen directive`,
    ),
]
