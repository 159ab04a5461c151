/** Time, as the browser has it: the page's only clock and timers. */

/** Milliseconds since the epoch. */
export function nowMs(): number {
  return Date.now()
}

/** Resolves after so many milliseconds. */
export async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms))
}

/** Acts once after so many milliseconds, unless the returned function is called before. */
export function after(ms: number, act: () => void): () => void {
  const timer = setTimeout(act, ms)
  return () => clearTimeout(timer)
}

/** Acts each time that so many milliseconds have passed, as long as the page is open. */
export function every(ms: number, act: () => void): void {
  setInterval(act, ms)
}

/** Acts once, before the browser paints the next frame. */
export function beforeNextFrame(act: () => void): void {
  requestAnimationFrame(act)
}

/** A new random identifier. */
export function randomId(): string {
  return crypto.randomUUID()
}
