/** The fields of a form, as the API itself describes them: a new option has its field without a change here. */
import { html, nothing, type TemplateResult } from 'lit-html'
import { field, isObject } from '../api.ts'

export interface Field {
  readonly name: string
  readonly kind: 'flag' | 'number' | 'text' | 'choice' | 'list' | 'json'
  readonly help: string
  readonly fallback: unknown
  readonly choices: readonly string[]
  readonly isRequired: boolean
}

/** Those that the form has in another form, or that are not of the form at all. */
const LEFT_OUT = ['options', 'upstream_host', 'upstream_port', 'droplet_name', 'revision']

/** The fields of a route and of its options, from the API's OpenAPI description. */
export function fieldsOf(description: unknown): { readonly own: readonly Field[]; readonly options: readonly Field[] } {
  const schema = field(field(field(description, 'components'), 'schemas'), 'RouteRequest')
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
      return field(field(schema, 'items'), 'type') === 'string' ? 'list' : 'json'
    default:
      return 'json'
  }
}

/** A field with its present value; its default if it has none. */
export function inputFor(
  { name, kind, help, fallback, choices, isRequired }: Field,
  prefix: string,
  present: unknown,
): TemplateResult {
  const id = `${prefix}.${name}`
  const value = present === undefined ? fallback : present
  const helpId = `${id}-help`
  const described = help === '' ? nothing : html`<p class="help" id=${helpId}>${help}</p>`
  if (kind === 'flag')
    return html`<label class="check"><input type="checkbox" id=${id} name=${id} aria-describedby=${helpId} .defaultChecked=${value === true} /> ${name}</label>${described}`
  const input = {
    choice: () =>
      html`<select id=${id} name=${id} aria-describedby=${helpId}>${choices.map((one) => html`<option ?selected=${one === value}>${one}</option>`)}</select>`,
    number: () =>
      html`<input id=${id} name=${id} type="number" aria-describedby=${helpId} .defaultValue=${textOf(value)} />`,
    text: () =>
      html`<input id=${id} name=${id} autocomplete="off" ?required=${isRequired} aria-describedby=${helpId} .defaultValue=${textOf(value)} />`,
    list: () =>
      html`<textarea id=${id} name=${id} rows="2" placeholder="one per line" aria-describedby=${helpId} .defaultValue=${Array.isArray(value) ? value.join('\n') : ''}></textarea>`,
    json: () =>
      html`<textarea id=${id} name=${id} rows="2" placeholder="JSON" aria-describedby=${helpId} .defaultValue=${value == null ? '' : JSON.stringify(value)}></textarea>`,
  }[kind]()
  return html`<label for=${id}>${name}</label>${input}${described}`
}

function textOf(value: unknown): string {
  return value == null ? '' : String(value)
}

/**
 * What a field of a form says; `undefined` if it is empty: the default.
 * @throws {SyntaxError} if JSON is expected, and it is none
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
  return kind === 'json' ? JSON.parse(text) : text
}
