/** What this droplet announces to the mesh, and the names under which the mesh addresses it. */
import { publicUrl, type Settings } from '../settings/settings.ts'

/** The record for the Registry, in a shape that a sync reads. */
export function registration(settings: Settings, version: string) {
  const endpoint = publicUrl(settings)
  const { hostname, port, protocol } = new URL(endpoint)
  return {
    name: settings.SERVICE_NAME,
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port || (protocol === 'https:' ? 443 : 80)),
    status: 'active',
    endpoint,
    metadata: {
      droplet_id: settings.DROPLET_ID,
      version,
      environment: settings.ENVIRONMENT,
      udc_version: '1.0',
      udc: {
        health: '/health',
        capabilities: '/capabilities',
        state: '/state',
        dependencies: '/dependencies',
        message: '/message',
      },
    },
  }
}

/** Whether the target of a message is this droplet, by either of its names (case-insensitive), or every droplet. */
export function isAddressedToUs({ SERVICE_NAME, DROPLET_ID }: Settings, target: string): boolean {
  const names = [SERVICE_NAME, DROPLET_ID, '*', 'broadcast'].map((name) => name.toLowerCase())
  return names.includes(target.toLowerCase())
}

/** The present condition of this droplet. */
export interface Condition {
  readonly status: 'healthy' | 'degraded' | 'unhealthy'
  readonly version: string
  readonly nowMs: number
  readonly uptimeSeconds: number
}

/** One heartbeat for the Orchestrator. */
export function heartbeat(settings: Settings, { status, version, nowMs, uptimeSeconds }: Condition) {
  return {
    droplet_id: settings.DROPLET_ID,
    service: settings.SERVICE_NAME,
    status,
    version,
    timestamp: new Date(nowMs).toISOString(),
    uptime_seconds: uptimeSeconds,
    endpoint: publicUrl(settings),
  }
}
