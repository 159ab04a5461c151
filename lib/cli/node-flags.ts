/** How Node runs the API. */

/** Loads the API, which most commands do not need. */
export const loadMain = () => import('../main.ts')

/** Short-lived objects are collected after 4 MiB instead of up to 32: the process needs about half the memory, and is as fast. */
export const NODE_FLAGS: readonly string[] = ['--max-semi-space-size=4']

/** Directory for compiled code in the state directory (`NODE_COMPILE_CACHE`): with it, a start need not strip the types again. */
export const COMPILE_CACHE = 'compile-cache'
