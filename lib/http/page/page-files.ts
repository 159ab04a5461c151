/**
 * The files of the page for people: TypeScript without its types (in the package it is compiled already), style, and lit-html. Each name has a
 * hash of its content, so that a browser never uses an old script with a new page.
 */
import { createHash } from 'node:crypto'
import { stripTypeScriptTypes } from 'node:module'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface PageFile {
  readonly contentType: string
  readonly text: string
}

export interface PageFiles {
  /** The page itself. It has relative links, and fits any path in front. */
  readonly page: string
  /** By name, with the hash. */
  readonly assets: ReadonlyMap<string, PageFile>
}

type ReadText = (path: string) => { readonly text: string } | { readonly failure: string }

const EXTENSION = extname(import.meta.filename)
const FOLDER = join(import.meta.dirname, '../../page')
/** What Node is given is its module for servers; the one for browsers is beside that. */
const LIT_HTML = fileURLToPath(new URL('../lit-html.js', import.meta.resolve('lit-html')))
const SCRIPT = 'text/javascript; charset=utf-8'

/** Makes what reads the files of the page, once. @throws {Error} if one of them is missing */
export function pageReader(read: ReadText): () => PageFiles {
  let files: PageFiles | undefined
  return () => (files ??= readPageFiles(read))
}

function readPageFiles(read: ReadText): PageFiles {
  const assets = new Map<string, PageFile>()
  const names = new Map<string, string>()
  const textOf = (path: string): string => {
    const file = read(path)
    if ('failure' in file) throw new Error(`${path} cannot be read: ${file.failure}`)
    return file.text
  }
  const add = (path: string, text: string, contentType: string): string => {
    const extension = contentType === SCRIPT ? '.js' : extname(path)
    const stem = path.slice(path.lastIndexOf('/') + 1, -extname(path).length)
    const hash = createHash('sha256').update(text).digest('hex').slice(0, 12)
    const name = `${stem}-${hash}${extension}`
    assets.set(name, { contentType, text })
    names.set(path, name)
    return name
  }
  /** A module after what it imports, whose names are in its text. An import map would do the same, but the page's policy forbids one. */
  const addModule = (path: string): string => {
    const known = names.get(path)
    if (known !== undefined) return known
    const source = path.endsWith('.ts') ? stripTypeScriptTypes(textOf(path)) : textOf(path)
    // The licence of another's module remains in it.
    const code = path.startsWith(FOLDER) ? source.replace(COMMENTS, '') : source
    const text = code.replace(IMPORT, (_, before: string, from: string) => {
      const target = from === 'lit-html' ? LIT_HTML : join(path, '..', from)
      return `${before}'./${addModule(target)}'`
    })
    return add(path, text.replace(/^\/\/# sourceMappingURL.*$/m, ''), SCRIPT)
  }
  const main = addModule(join(FOLDER, `main${EXTENSION}`))
  const style = add(join(FOLDER, 'page.css'), textOf(join(FOLDER, 'page.css')), 'text/css; charset=utf-8')
  const others = [...assets.keys()].filter((name) => name !== main && name.endsWith('.js'))
  return { page: pageText(main, style, others), assets }
}

/** On lines of their own, with what stripped types leave of lines. */
const COMMENTS = /^ *(?:\/\*\*[\s\S]*?\*\/|\/\/ .*|)\n/gm
const IMPORT = /^((?:import|export)\s(?:[^'";]*?\sfrom\s+)?)'([^']+)'/gm

function pageText(main: string, style: string, others: readonly string[]): string {
  const preloads = others.map((name) => `<link rel="modulepreload" href="assets/${name}">\n`)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Proxy Manager</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="assets/${style}">
${preloads.join('')}<script type="module" src="assets/${main}"></script>
</head>
<body>
<div id="page"></div>
<noscript>This page needs JavaScript. The command line shows the same: proxy-manager list</noscript>
</body>
</html>
`
}

/** Of the page and of its assets. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    'trusted-types lit-html',
  ].join('; '),
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
}
