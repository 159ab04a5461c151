/** Addresses of the views, after the # of the page. */
import type { View } from './state.ts'

export const href = {
  routes: '#/routes',
  route: (name: string) => `#/routes/${encodeURIComponent(name)}`,
  edit: (name: string) => `#/routes/${encodeURIComponent(name)}/edit`,
  create: '#/new',
  certificates: '#/certificates',
  activity: '#/activity',
  explain: (url = '') => `#/explain/${encodeURIComponent(url)}`,
} as const

/** The view of an address; the routes if it has none. */
export function viewOf(hash: string): View {
  const [, first = '', second = '', third = ''] = hash.split('/').map(decoded)
  if (first === 'new') return { name: 'edit', droplet: null }
  if (first === 'routes' && third === 'edit') return { name: 'edit', droplet: second }
  if (first === 'routes' && second !== '') return { name: 'route', droplet: second }
  if (first === 'certificates') return { name: 'certificates' }
  if (first === 'activity') return { name: 'activity', correlationId: second }
  if (first === 'explain') return { name: 'explain', url: second }
  return { name: 'routes' }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
