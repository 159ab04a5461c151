/** How Node runs the API, beside the words of the command itself. */

// Loaded only where they are needed: the whole API is more than a call to it takes.
export const loadMain = () => import('../main.ts')

/** What calls leave behind is collected after 4 MiB instead of up to 32: the process takes about half the memory, and is as fast. */
export const NODE_FLAGS: readonly string[] = ['--max-semi-space-size=4']

/** A folder in the state folder for compiled code (`NODE_COMPILE_CACHE`): with it a start need not strip the types again. */
export const COMPILE_CACHE = 'compile-cache'
