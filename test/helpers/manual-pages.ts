/** The manual: every Markdown page of this repository. */
import { spawnSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export interface Page {
  /** Relative to the root of the clone. */
  readonly path: string
  readonly text: string
}

/** Where a reader begins; pages that are not listed follow in alphabetical order. */
const READING_ORDER = [
  'README.md',
  'functions/README.md',
  'lib/certificates/README.md',
  'lib/mesh/README.md',
  'lib/cli/README.md',
  'fixtures/README.md',
]

/** @throws if there is no page with this path */
export function readPage(path: string): Page {
  return { path, text: readFileSync(join(ROOT, path), 'utf8') }
}

export function readPages(): readonly Page[] {
  const others = listPages().filter((path) => !READING_ORDER.includes(path))
  return [...READING_ORDER, ...others.sort()].map(readPage)
}

/** The tracked pages; all of them in a copy of the sources that is no clone. */
function listPages(): readonly string[] {
  const { stdout } = spawnSync('git', ['-c', 'safe.directory=*', 'ls-files', '*.md'], { cwd: ROOT, encoding: 'utf8' })
  const tracked = (stdout ?? '').split('\n').filter((path) => path !== '')
  return tracked.length > 0
    ? tracked
    : globSync(['*.md', '{.github,functions,lib,test,fixtures}/**/*.md'], { cwd: ROOT })
}
