/** The dialog that asks before a route is deleted. */
import { html, type TemplateResult } from 'lit-html'
import type { ProxyState } from '../../route/state.ts'
import { act, ifUnchanged } from '../changes.ts'
import { href, replaceView } from '../location.ts'
import { siteLink } from '../parts.ts'
import { redraw } from '../state.ts'

let typed = ''

/** Says what goes and what remains, and wants the name typed. */
export function deleteDialog(route: ProxyState): TemplateResult {
  const { droplet_name: name, certificate } = route
  return html`<dialog id="delete" aria-labelledby="delete-title" @close=${forget}>
    <form method="dialog" @submit=${(event: SubmitEvent) => submit(event, route)}>
      <h2 id="delete-title">Delete the route ${name}?</h2>
      <p>${siteLink(route)} will not be served any more. The droplet itself keeps running, and the versions of the route are kept for 30 days.</p>
      ${certificate === null ? '' : html`<label class="check"><input type="checkbox" name="certificate" /> Delete its certificate as well</label>`}
      <label for="delete-name">Type <code>${name}</code> to confirm</label>
      <input id="delete-name" name="name" autocomplete="off" .value=${typed} @input=${setTyped} />
      <div class="tools"><button class="danger" value="delete" ?disabled=${typed !== name}>Delete</button><button type="button" @click=${close}>Cancel</button></div>
    </form>
  </dialog>`
}

async function submit(event: SubmitEvent, route: ProxyState): Promise<void> {
  const { droplet_name: name } = route
  const form = event.currentTarget
  if (!(form instanceof HTMLFormElement) || typed !== name) return event.preventDefault()
  const withCertificate = new FormData(form).get('certificate') === 'on'
  const deleted = await act({
    method: 'DELETE',
    droplet: name,
    rest: withCertificate ? '?delete_certificate=true' : '',
    headers: ifUnchanged(route),
    what: 'delete',
  })
  if (deleted !== undefined && location.hash === href.route(name)) replaceView(href.routes)
}

function setTyped({ currentTarget: input }: Event): void {
  if (input instanceof HTMLInputElement) typed = input.value
  redraw()
}

function close(): void {
  const dialog = document.getElementById('delete')
  if (dialog instanceof HTMLDialogElement) dialog.close()
}

function forget(): void {
  typed = ''
  redraw()
}
