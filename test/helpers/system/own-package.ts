/**
 * Lets a script in this clone import the package by its name without building it.
 *
 *     node --import ./test/helpers/system/own-package.ts script.js
 */
import { registerHooks } from 'node:module'
import { SOURCE_OF } from './package-sources.ts'

registerHooks({
  resolve: (specifier, context, next) => {
    const source = SOURCE_OF.get(specifier)
    return next(source === undefined ? specifier : new URL(`../../../${source}`, import.meta.url).href, context)
  },
})
