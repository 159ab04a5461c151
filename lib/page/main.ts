/** The page for people: it shows what is served and what is wrong, and does what the API can do. */
import { render } from 'lit-html'
import { hasSession, ownSession } from './api.ts'
import { followEvents } from './live.ts'
import { loadRoutes } from './load.ts'
import { viewOf } from './location.ts'
import { current, drawWith, redraw, update } from './state.ts'
import { frame } from './views/frame.ts'

/** Ages grow. */
const REDRAW_MS = 1000

const place = document.getElementById('page')
if (place !== null) drawWith((state) => render(frame(state), place))

const show = () => {
  update({ view: viewOf(location.hash), notice: undefined })
  document.getElementById('main')?.focus()
  scrollTo(0, 0)
}
addEventListener('hashchange', show)
update({ session: ownSession(), view: viewOf(location.hash) })
setInterval(() => {
  if (!document.hidden) redraw()
}, REDRAW_MS)

await loadRoutes().catch(() => {
  // The live updates try again; a login is asked for only by a host that requires one.
  if (current().access !== 'login') update({ access: hasSession() ? 'login' : 'open' })
})
followEvents()
