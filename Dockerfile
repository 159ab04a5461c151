# Proxy Manager with the NGINX and the certbot that it manages.
#
#     docker build --tag proxy-manager .
#
# These run as root: NGINX's master (ports 80 and 443, the certificates' keys), certbot, and the API, which signals the former and runs the
# latter. NGINX's workers, the only ones that read client data, run as www-data.
ARG NODE=24
ARG DEBIAN=trixie
# Any image of Debian with Node.js and npm: --build-arg BASE=...
ARG BASE=node:${NODE}-${DEBIAN}-slim

FROM ${BASE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json .tsconfig.build.json ./
COPY functions functions
COPY lib lib
COPY fixtures fixtures
RUN npm run build && chmod 755 dist/lib/cli/main.js && rm -r dist/fixtures
# --omit=optional leaves out TypeScript, an optional peer of valibot.
RUN npm ci --omit=dev --omit=optional

FROM ${BASE}
# The sample site of the NGINX package would stay the default server of port 80. NGINX's errors go to the container's log. Its emergencies are in
# a file as well, which hardly grows: the API reads the result of a reload there. The access log is discarded: nothing rotates it, and /dev/stdout
# cannot be opened by the "nginx -t" of a service.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends certbot nginx supervisor \
 && rm -rf /var/lib/apt/lists/* /etc/nginx/sites-enabled/default /etc/nginx/sites-available/default \
 && sed -i 's|^error_log .*|error_log stderr;\nerror_log /var/log/nginx/emergencies.log emerg;|' /etc/nginx/nginx.conf \
 && grep -q '^error_log stderr;' /etc/nginx/nginx.conf \
 && install -d -m 711 /var/lib/proxy-manager \
 && ln -s /opt/proxy-manager/dist/lib/cli/main.js /usr/local/bin/proxy-manager \
 && ln -sf /dev/null /var/log/nginx/access.log

# Without this, an open WebSocket keeps an old worker alive forever.
RUN echo 'worker_shutdown_timeout 1h;' >/etc/nginx/modules-enabled/90-worker-shutdown-timeout.conf

COPY fixtures/image/supervisord.conf /etc/supervisor/supervisord.conf
COPY fixtures/image/nginx.sh /usr/local/lib/proxy-manager/nginx.sh
WORKDIR /opt/proxy-manager
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/dist dist

# On other addresses than loopback the API requires a token: without PROXY_MANAGER_API_TOKEN (or ..._FILE) the start fails with one line about it.
# certbot's timer does not run here, so the API renews certificates.
ENV NODE_ENV=production \
    PROXY_MANAGER_HOST=0.0.0.0 \
    SSL_RENEW_INTERVAL_HOURS=12

LABEL org.opencontainers.image.title="proxy-manager" \
      org.opencontainers.image.description="An HTTP API that manages NGINX and certbot" \
      org.opencontainers.image.licenses="MIT" \
      udc.service="proxy-manager" \
      udc.version="1.0" \
      udc.port="8100" \
      udc.health="/health" \
      udc.capabilities="/capabilities" \
      udc.state="/state" \
      udc.dependencies="/dependencies" \
      udc.message="/message"

# What a new container must find again: the routes, certbot's lineages with their keys, and the journal.
VOLUME ["/etc/nginx/sites-available", "/etc/nginx/sites-enabled", "/etc/letsencrypt", "/var/lib/proxy-manager"]
EXPOSE 80 443 8100

# The command line calls the address in PROXY_MANAGER_HOST. 4 is degraded: an operator must look at it, and a new container would not help.
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s CMD proxy-manager health >/dev/null || [ $? -eq 4 ]

STOPSIGNAL SIGTERM
# Recovery runs before NGINX starts. NGINX starts whatever its result; only an invalid setting (78) ends the container at once.
CMD ["sh", "-c", "proxy-manager recover || [ $? -ne 78 ] || exit 78; exec supervisord --configuration /etc/supervisor/supervisord.conf"]
