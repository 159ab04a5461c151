/** Addresses of the views, after the # of the page. */
import { update, type View } from './state.ts'

export const href = {
  routes: '#/routes',
  route: (name: string) => `#/routes/${encodeURIComponent(name)}`,
  edit: (name: string) => `#/routes/${encodeURIComponent(name)}/edit`,
  create: '#/new',
  certificates: (name = '') => `#/certificates${name === '' ? '' : `/${encodeURIComponent(name)}`}`,
  activity: (correlationId = '') => `#/activity${correlationId === '' ? '' : `/${encodeURIComponent(correlationId)}`}`,
  explain: (url = '') => `#/explain/${encodeURIComponent(url)}`,
} as const

/** The view of an address; the routes if it has none. */
export function viewOf(hash: string): View {
  const [, first = '', second = '', third = ''] = hash.split('/').map(decoded)
  if (first === 'new') return { name: 'edit', droplet: null }
  if (first === 'routes' && third === 'edit') return { name: 'edit', droplet: second }
  if (first === 'routes' && second !== '') return { name: 'route', droplet: second }
  if (first === 'certificates') return { name: 'certificates', droplet: second }
  if (first === 'activity') return { name: 'activity', correlationId: second }
  if (first === 'explain') return { name: 'explain', url: second }
  return { name: 'routes' }
}

/** Shows another view in place of the present one, which is over, and leaves the result of the last act on the page. */
export function replaceView(hash: string): void {
  history.replaceState(null, '', hash)
  update({ view: viewOf(hash) })
  document.getElementById('main')?.focus()
  scrollTo(0, 0)
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
