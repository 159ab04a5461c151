/** Compares what the manual shows with what was answered: equal, but for what is another one with every run, which has to be of its kind. */
import { isDeepStrictEqual } from 'node:util'
import { ELISION } from './shown-json.ts'

const TIMESTAMP = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`
const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'
const REVISION = '[0-9a-f]{16}'

const whole = (source: string) => new RegExp(`^${source}$`)
const KINDS = {
  timestamp: whole(TIMESTAMP),
  id: whole(UUID),
  revision: whole(REVISION),
  serial: whole('[0-9a-f]{14,40}'),
  fingerprint: whole('[0-9a-f]{64}'),
  issuer: whole('CN=Pebble Intermediate CA [0-9a-f]{6}'),
  version: whole(String.raw`\d+\.\d+\.\d+`),
  /** Whether a machine has IPv6 shows here. */
  errno: whole('E[A-Z]+'),
  count: whole(String.raw`\d+`),
  /** Checks go on while the examples run. */
  results: whole('[01]+'),
  figure: whole(String.raw`\d+(?:\.\d+)?`),
} as const
type Kind = keyof typeof KINDS

/** Of these another one may come than is shown: by their key, or by the last two where one is not enough. */
const KIND_OF: Readonly<Record<string, Kind>> = {
  at: 'timestamp',
  timestamp: 'timestamp',
  created_at: 'timestamp',
  updated_at: 'timestamp',
  checked_at: 'timestamp',
  processed_at: 'timestamp',
  last_health_checked_at: 'timestamp',
  config_test_timestamp: 'timestamp',
  last_reload_timestamp: 'timestamp',
  last_operation_timestamp: 'timestamp',
  last_restart: 'timestamp',
  since: 'timestamp',
  not_before: 'timestamp',
  expiry: 'timestamp',
  correlation_id: 'id',
  message_id: 'id',
  revision: 'revision',
  serial: 'serial',
  fingerprint_sha256: 'fingerprint',
  issuer: 'issuer',
  'nginx.version': 'version',
  failure: 'errno',
  generation: 'count',
  batch: 'count',
  proved_ms: 'count',
  latency_ms: 'count',
  ms: 'count',
  recent: 'results',
  duration_ms: 'count',
  uptime_seconds: 'count',
  requests_total: 'count',
  requests_per_minute: 'count',
  memory_mb: 'figure',
  cpu_percent: 'figure',
}

/** The same, where they stand in a line of text. */
const IN_TEXT: readonly (readonly [Kind, RegExp])[] = [
  ['timestamp', new RegExp(`\\b${TIMESTAMP}\\b`, 'g')],
  ['id', new RegExp(`\\b${UUID}\\b`, 'g')],
  ['revision', new RegExp(`\\b${REVISION}\\b`, 'g')],
  ['figure', /(?<=;dur=)\d+(?:\.\d+)?\b/g],
  ['count', /(?<=generation )\d+\b|\b\d+(?= ms\b)/g],
]

/** Names of one thing: where the manual shows the same one twice, the same one must have come twice, and another one otherwise. */
const NAMES: readonly Kind[] = ['id', 'revision', 'serial', 'fingerprint', 'issuer']

export interface Comparison {
  /** One line for each difference, with the path to it; none where it is as shown. */
  json(shown: unknown, answered: unknown): readonly string[]
  /** The first difference of a text; how many blanks stand in a row does not count, since columns are as wide as the ports in them. */
  text(shown: string, answered: string): readonly string[]
  /** What has come for a name that is shown. */
  answeredFor(shown: string): string | undefined
}

/** Compares the examples of one manual, which remember each other's names. */
export function startComparison(): Comparison {
  const names = new Map<string, string>()
  const shownFor = new Map<string, string>()

  const compareName = (kind: Kind, shown: string, answered: string): boolean => {
    if (!NAMES.includes(kind)) return true
    if (!names.has(shown)) names.set(shown, answered)
    if (!shownFor.has(answered)) shownFor.set(answered, shown)
    return names.get(shown) === answered && shownFor.get(answered) === shown
  }

  const compareKind = (kind: Kind, shown: unknown, answered: unknown): boolean =>
    typeof shown === typeof answered &&
    KINDS[kind].test(String(shown)) &&
    KINDS[kind].test(String(answered)) &&
    compareName(kind, String(shown), String(answered))

  const compare = (shown: unknown, answered: unknown, path: readonly string[]): readonly string[] => {
    const differs = () => [`${where(path)} is shown as ${JSON.stringify(shown)}, and is ${JSON.stringify(answered)}`]
    if (isObject(shown) && isObject(answered)) {
      const keys = Object.keys(shown).filter((key) => key !== ELISION)
      const others = Object.keys(answered).filter((key) => !Object.hasOwn(shown, key))
      return [
        ...keys.flatMap((key) =>
          Object.hasOwn(answered, key)
            ? compare(shown[key], answered[key], [...path, key])
            : [`${where([...path, key])} is shown, and is not there`],
        ),
        ...(Object.hasOwn(shown, ELISION) ? [] : others.map((key) => `${where([...path, key])} is not shown`)),
      ]
    }
    if (Array.isArray(shown) && Array.isArray(answered)) {
      const isElided = shown.at(-1) === ELISION
      const elements: readonly unknown[] = isElided ? shown.slice(0, -1) : shown
      if (isElided ? answered.length < elements.length : answered.length !== elements.length) return differs()
      return elements.flatMap((element, i) => compare(element, answered[i], [...path, String(i)]))
    }
    const kind = KIND_OF[path.slice(-2).join('.')] ?? KIND_OF[path.at(-1) ?? '']
    if (kind !== undefined && shown !== null) return compareKind(kind, shown, answered) ? [] : differs()
    if (typeof shown === 'string' && typeof answered === 'string' && shown.includes(ELISION))
      return wildcard(shown).test(answered) ? [] : differs()
    return isDeepStrictEqual(shown, answered) ? [] : differs()
  }

  const compareLine = (shown: string | undefined, answered: string | undefined): readonly string[] => {
    const [wanted, found] = [mask(shown ?? ''), mask(answered ?? '')]
    const isSame =
      shown !== undefined &&
      answered !== undefined &&
      wanted.text === found.text &&
      wanted.values.every(([kind, value], i) => compareName(kind, value, found.values[i]?.[1] ?? ''))
    return isSame
      ? []
      : [`this is shown: ${shown ?? '(no further line)'}\n  and came: ${answered ?? '(no further line)'}`]
  }

  return {
    json: (shown, answered) => compare(shown, answered, []),
    text: (shown, answered) => {
      const [wanted, found] = [linesOf(shown), linesOf(answered)]
      const longer = wanted.length > found.length ? wanted : found
      return longer.flatMap((_, i) => compareLine(wanted[i], found[i])).slice(0, 1)
    },
    answeredFor: (shown) => names.get(shown),
  }
}

const where = (path: readonly string[]) => (path.length === 0 ? 'the whole' : path.join('.'))
const linesOf = (text: string) => text.trimEnd().split('\n')

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function wildcard(shown: string): RegExp {
  const parts = shown.split(ELISION).map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
  return whole(parts.join('[\\s\\S]*'))
}

/** The line with each value of a kind replaced by that kind's name, and the values. */
function mask(line: string): { readonly text: string; readonly values: readonly (readonly [Kind, string])[] } {
  const values: [Kind, string][] = []
  let text = line.trimEnd().replace(/(?<=\S) {2,}/g, '  ')
  for (const [kind, pattern] of IN_TEXT) {
    text = text.replace(pattern, (value) => {
      values.push([kind, value])
      return `<${kind}>`
    })
  }
  return { text, values }
}
