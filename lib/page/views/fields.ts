/** The fields of a form, as the API itself describes them: a new option has its field without a change here. */
import { html, nothing, type TemplateResult } from 'lit-html'
import { field, isObject } from '../api.ts'
import { readInBackground } from '../load.ts'

export interface Field {
  readonly name: string
  readonly kind: 'flag' | 'number' | 'text' | 'choice' | 'list' | 'upstreams' | 'json'
  readonly help: string
  readonly fallback: unknown
  readonly choices: readonly string[]
  readonly isRequired: boolean
  /** What to write if it is JSON. */
  readonly form: string
}

export interface Fields {
  readonly own: readonly Field[]
  readonly options: readonly Field[]
}

/** Those that the form has in another form, or that are not of the form at all. */
const LEFT_OUT = ['options', 'upstream_host', 'upstream_port', 'droplet_name']

let known: Fields | undefined

/** The fields of a route and of its options, from the API's OpenAPI description, which is read once. @throws {ApiError} */
export async function readFields(): Promise<Fields> {
  known ??= fieldsOf((await readInBackground('/openapi.json')).json)
  return known
}

function fieldsOf(description: unknown): Fields {
  // The request of a PUT also has what an answer has.
  const schema = field(field(field(description, 'components'), 'schemas'), 'NewRouteRequest')
  const options = field(field(schema, 'properties'), 'options')
  return { own: describe(schema).filter(({ name }) => !LEFT_OUT.includes(name)), options: describe(options) }
}

function describe(schema: unknown): readonly Field[] {
  const properties = field(schema, 'properties')
  const required = field(schema, 'required')
  return Object.entries(isObject(properties) ? properties : {})
    .filter(([, property]) => field(property, 'readOnly') !== true)
    .map(([name, property]) => {
      const own = withoutNull(property)
      const choices = field(own, 'enum')
      return {
        name,
        kind: kindOf(own),
        help: String(field(property, 'description') ?? field(own, 'description') ?? ''),
        fallback: field(property, 'default'),
        choices: Array.isArray(choices) ? choices.map(String) : [],
        form: formOf(own),
        isRequired: Array.isArray(required) && required.includes(name),
      }
    })
}

/** The schema of a nullable field without its null. */
function withoutNull(property: unknown): unknown {
  const any = field(property, 'anyOf')
  return Array.isArray(any) ? any.find((one) => field(one, 'type') !== 'null') : property
}

function kindOf(schema: unknown): Field['kind'] {
  if (field(schema, 'enum') !== undefined) return 'choice'
  switch (field(schema, 'type')) {
    case 'boolean':
      return 'flag'
    case 'integer':
    case 'number':
      return 'number'
    case 'string':
      return 'text'
    case 'array':
      if (field(field(field(schema, 'items'), 'properties'), 'port') !== undefined) return 'upstreams'
      return field(field(schema, 'items'), 'type') === 'string' ? 'list' : 'json'
    default:
      return 'json'
  }
}

/** How JSON of this schema looks. */
function formOf(schema: unknown): string {
  const any = field(schema, 'anyOf')
  if (Array.isArray(any)) return any.map(formOf).join(' or ')
  const properties = field(schema, 'properties')
  const [name] = Object.keys(isObject(properties) ? properties : {})
  return field(schema, 'type') === 'object' ? `{ "${name ?? 'Name'}": "…" }` : 'JSON'
}

/** A field with its present value; its default if it has none. */
export function inputFor(
  { name, kind, help, fallback, choices, isRequired, form }: Field,
  prefix: string,
  present: unknown,
): TemplateResult {
  const id = `${prefix}.${name}`
  const value = present === undefined ? fallback : present
  const helpId = help === '' ? nothing : `${id}-help`
  const described = help === '' ? nothing : html`<p class="help" id=${helpId}>${help}</p>`
  if (kind === 'flag')
    return html`<div class="field"><label class="check"><input type="checkbox" id=${id} name=${id} aria-describedby=${helpId} .defaultChecked=${value === true} /> ${name}</label>${described}</div>`
  const input = {
    choice: () =>
      html`<select id=${id} name=${id} aria-describedby=${helpId}>${choices.map((one) => html`<option ?selected=${one === value}>${one}</option>`)}</select>`,
    number: () =>
      html`<input id=${id} name=${id} type="number" aria-describedby=${helpId} .defaultValue=${textOf(value)} />`,
    text: () =>
      html`<input id=${id} name=${id} autocomplete="off" ?required=${isRequired} aria-describedby=${helpId} .defaultValue=${textOf(value)} />`,
    list: () =>
      html`<textarea id=${id} name=${id} rows="2" placeholder="one per line" aria-describedby=${helpId} .defaultValue=${Array.isArray(value) ? value.join('\n') : ''}></textarea>`,
    upstreams: () =>
      html`<textarea id=${id} name=${id} rows="2" placeholder="host:port, or host:port backup; one per line" aria-describedby=${helpId} .defaultValue=${Array.isArray(value) ? value.map(upstreamText).join('\n') : ''}></textarea>`,
    json: () =>
      html`<textarea id=${id} name=${id} rows="2" placeholder=${form} aria-describedby=${helpId} .defaultValue=${isUnset(value) ? '' : JSON.stringify(value)}></textarea>`,
  }[kind]()
  return html`<div class="field"><label for=${id}>${name}</label>${input}${described}</div>`
}

/** Whether a value says nothing: an option that is unset. */
function isUnset(value: unknown): boolean {
  return value == null || (isObject(value) && Object.keys(value).length === 0)
}

/** The options whose value is not the default, as the API describes it. */
export function differing(
  options: Readonly<Record<string, unknown>>,
  fields: Fields,
): readonly (readonly [string, unknown])[] {
  const fallbacks = new Map(fields.options.map(({ name, fallback }) => [name, JSON.stringify(fallback ?? null)]))
  return Object.entries(options).filter(([name, value]) => JSON.stringify(value) !== fallbacks.get(name))
}

/** An upstream as its line in the form: `host:port`, with ` backup` for one. */
function upstreamText(one: unknown): string {
  const host = String(field(one, 'host'))
  const place = `${host.includes(':') ? `[${host}]` : host}:${field(one, 'port')}`
  return field(one, 'backup') === true ? `${place} backup` : place
}

function upstreamIn(line: string): unknown {
  const [, address, name, port, backup] = /^(?:\[(.+)\]|([^\s:]+)):(\d+)(\s+backup)?$/.exec(line.trim()) ?? []
  if (port === undefined) throw new SyntaxError(`"${line.trim()}" is no upstream: write host:port`)
  return { host: address ?? name, port: Number(port), backup: backup !== undefined }
}

function textOf(value: unknown): string {
  return value == null ? '' : String(value)
}

/**
 * What a field of a form says; `undefined` if it is empty: the default.
 * @throws {SyntaxError} if it is not what the field expects
 */
export function valueIn(form: HTMLFormElement, prefix: string, { name, kind }: Field): unknown {
  const input = form.elements.namedItem(`${prefix}.${name}`)
  if (input instanceof HTMLInputElement && kind === 'flag') return input.checked
  const isInput =
    input instanceof HTMLInputElement || input instanceof HTMLTextAreaElement || input instanceof HTMLSelectElement
  const text = isInput ? input.value.trim() : ''
  if (text === '') return undefined
  if (kind === 'number') return Number(text)
  if (kind === 'list') return text.split(/[\s,]+/)
  if (kind === 'upstreams') return text.split('\n').map(upstreamIn)
  return kind === 'json' ? JSON.parse(text) : text
}
