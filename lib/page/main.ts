/** The page for people: it shows what is served and what is wrong, and does what the API can do. */
import { render } from 'lit-html'
import { ownSession } from './api.ts'
import { every } from './browser.ts'
import { followEvents, keepFollowing } from './live.ts'
import { loadRoutes } from './load.ts'
import { viewOf } from './location.ts'
import { current, drawWith, redraw, update } from './state.ts'
import { frame, titleOf } from './views/frame.ts'

/** Ages grow. */
const REDRAW_MS = 1000

const place = document.getElementById('page')
if (place !== null)
  drawWith((state) => {
    render(frame(state), place)
    document.title = titleOf(state)
  })

addEventListener('hashchange', () => {
  update({ view: viewOf(location.hash), notice: undefined })
  document.getElementById('main')?.focus()
  scrollTo(0, 0)
})
update({ session: ownSession(), view: viewOf(location.hash) })
every(REDRAW_MS, () => {
  if (!document.hidden) redraw()
})

keepFollowing()
await loadRoutes().catch(() => {
  // Only a host that requires a login asks for one; otherwise the live updates try again.
  if (current().access !== 'login') update({ access: 'open' })
})
followEvents()
