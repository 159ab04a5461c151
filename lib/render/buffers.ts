/** The buffers for responses. NGINX checks their sizes against each other even if they are not used, and routes inherit those they do not set. */
import type { Directive } from '../nginx/config/print.ts'
import type { RenderContext } from './context.ts'

/**
 * The whole group, so that no value in the host's `http` block can make a route impossible. Each buffer has room for the headers of a response:
 * `size`, or `proxy_buffer_size` of the host if that is larger. `proxy_max_temp_file_size` stays the host's, unless it is too small for the rest.
 */
export function buffers(size: string, { setByHost }: Pick<RenderContext, 'setByHost'>): Directive[] {
  const sizeOfHost = (name: string) => toBytes(setByHost.get(name)?.[0] ?? '')
  const bytes = Math.max(toBytes(size), sizeOfHost('proxy_buffer_size'))
  const maxFileBytes = sizeOfHost('proxy_max_temp_file_size')
  const isTooSmall = maxFileBytes > 0 && maxFileBytes < bytes
  return [
    ['proxy_buffer_size', [toSize(bytes)]],
    ['proxy_buffers', ['8', toSize(bytes)]],
    ['proxy_busy_buffers_size', [toSize(2 * bytes)]],
    ['proxy_temp_file_write_size', [toSize(2 * bytes)]],
    ...(isTooSmall ? [['proxy_max_temp_file_size', [toSize(bytes)]] as const] : []),
  ]
}

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }

/** 0 for what is no size in NGINX's syntax. */
function toBytes(size: string): number {
  const [, digits = '', unit = ''] = /^(\d{1,9})([kmg]?)$/i.exec(size) ?? []
  return Number(digits) * (UNITS[unit.toLowerCase()] ?? 0)
}

function toSize(bytes: number): string {
  return bytes % 1024 === 0 ? `${bytes / 1024}k` : String(bytes)
}
