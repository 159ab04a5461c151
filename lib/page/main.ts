/** The page for people: a client of the API. */
import { html, render } from 'lit-html'

const place = document.getElementById('page')
if (place !== null) render(html`<h1>Proxy Manager</h1>`, place)
