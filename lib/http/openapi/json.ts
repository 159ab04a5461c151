/** JSON objects of the description. */

export type JsonObject = { readonly [key: string]: unknown }
