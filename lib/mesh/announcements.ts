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

/** The condition in the words that other droplets of the mesh expect as a status. */
export function udcStatus(status: Condition['status']): 'active' | 'error' {
  return status === 'unhealthy' ? 'error' : 'active'
}

/** The droplet's identity as a number if it is one, as most droplets of the mesh have it. */
function numericId(id: string): string | number {
  return /^[1-9]\d{0,8}$/.test(id) ? Number(id) : id
}

/** One heartbeat for the Orchestrator: `status` in the words of the mesh, `health` in ours. */
export function heartbeat(settings: Settings, { status, version, nowMs, uptimeSeconds }: Condition) {
  return {
    id: numericId(settings.DROPLET_ID),
    droplet_id: settings.DROPLET_ID,
    service: settings.SERVICE_NAME,
    status: udcStatus(status),
    health: status,
    version,
    timestamp: new Date(nowMs).toISOString(),
    uptime_seconds: uptimeSeconds,
    endpoint: publicUrl(settings),
  }
}
