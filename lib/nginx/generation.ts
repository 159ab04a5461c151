/** The name under which the server block of the generation answers. */

/** The name under which the generation is asked for: `.invalid` is reserved (RFC 6761), so no site can have it. */
export const GENERATION_NAME = 'generation.proxy-manager.invalid'

/** Where NGINX tells its own connection counts, under that name. */
export const STATUS_PATH = '/status'
