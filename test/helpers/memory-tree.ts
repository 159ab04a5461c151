import { readFileSync } from 'node:fs'
import type { ConfigurationTree } from '../../lib/nginx/config/include.ts'
import { readNginx } from '../../lib/nginx/config/parse.ts'

/** A host's files as path -> text; a directory lists its entries. */
export function memoryTree(files: Readonly<Record<string, string>>): ConfigurationTree {
  return {
    read: (path) => {
      const text = files[path]
      return text === undefined ? undefined : { text, directives: readNginx(text).directives }
    },
    list: (folder) => {
      const prefix = folder === '/' ? '/' : `${folder}/`
      const inside = Object.keys(files).filter((path) => path.startsWith(prefix))
      // In reverse, so that nothing is in order by chance.
      return [...new Set(inside.map((path) => path.slice(prefix.length).split('/')[0] ?? ''))].reverse()
    },
  }
}

/** A file of `fixtures/`. */
export function fixture(path: string): string {
  return readFileSync(new URL(`../../fixtures/${path}`, import.meta.url), 'utf8')
}

/** What Debian installs. */
export function debianFiles(): Record<string, string> {
  return {
    '/etc/nginx/nginx.conf': fixture('nginx-conf/debian-nginx.conf'),
    '/etc/nginx/mime.types': 'types { text/html html; }\n',
    '/etc/nginx/sites-enabled/default': fixture('nginx-conf/debian-default-site.conf'),
  }
}
