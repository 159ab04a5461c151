/** The login. The token becomes a session, and is not kept. */
import { html, nothing, type TemplateResult } from 'lit-html'
import { ApiError, logIn } from '../api.ts'
import { errorBox } from '../parts.ts'
import { redraw } from '../state.ts'

let failure: ApiError | undefined

export function login(): TemplateResult {
  return html`<form class="login" @submit=${submit}>
    <h1>Proxy Manager</h1>
    <p>This host requires a token: the API token, one of the named tokens, or a JWT of the Registry.</p>
    <label for="token">Token</label>
    <input id="token" name="token" type="password" autocomplete="off" required autofocus />
    <button>Log in</button>
    ${failure === undefined ? nothing : errorBox(failure)}
  </form>`
}

async function submit(event: SubmitEvent): Promise<void> {
  event.preventDefault()
  const form = event.currentTarget
  if (!(form instanceof HTMLFormElement)) return
  failure = undefined
  try {
    await logIn(String(new FormData(form).get('token')).trim())
    // Nothing that was read, or refused, before is of this session.
    location.reload()
  } catch (error) {
    failure = error instanceof ApiError ? error : undefined
    redraw()
  }
}
