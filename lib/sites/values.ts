/** Times and sizes in NGINX's notation (nginx.org, "Configuration file measurement units"). */
import type { Findings } from './findings.ts'
import type { Located } from './site-files.ts'

const SECONDS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400, w: 604_800, '': 1 }

/** Seconds of a time such as `1m 30s`; `undefined` for anything else. */
export function toSeconds(time: string): number | undefined {
  const parts = [...time.matchAll(/(\d+)(ms|[smhdw]?)\s*/g)]
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== time) return undefined
  return parts.reduce((sum, [, digits, unit = '']) => sum + Number(digits) * (SECONDS[unit] ?? 0), 0)
}

/** A time as an option that has whole seconds from `min` to `max`; what is beyond is a difference. */
export function secondsOption(
  directive: Located | undefined,
  fallback: number,
  [min, max]: readonly [number, number],
  { differs, refuse }: Pick<Findings, 'differs' | 'refuse'>,
): number {
  if (directive === undefined) return fallback
  const seconds = toSeconds(directive.args.join(' '))
  if (seconds === undefined) refuse(directive, 'is no time')
  const wanted = Math.min(max, Math.max(min, Math.ceil(seconds ?? fallback)))
  if (seconds !== undefined && wanted !== seconds) differs(directive, `becomes ${wanted} s`)
  return wanted
}

/** Bytes of a size such as `10m`; `undefined` for anything else. */
export function toBytes(size: string): number | undefined {
  const [, digits, unit = ''] = /^(\d{1,12})([kmg]?)$/i.exec(size) ?? []
  const power = ['', 'k', 'm', 'g'].indexOf(unit.toLowerCase())
  return digits === undefined ? undefined : Number(digits) * 1024 ** power
}

/** A size in the notation of the options, rounded up to the next that it has. */
export function toSize(bytes: number): string {
  for (const [i, unit] of ['k', 'm', 'g'].entries()) {
    const count = Math.ceil(bytes / 1024 ** (i + 1))
    const isExact = bytes % 1024 ** (i + 2) !== 0 || unit === 'g'
    if (count <= 99_999 && isExact) return `${count}${unit}`
  }
  return '99999g'
}
