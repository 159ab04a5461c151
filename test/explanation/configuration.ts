/** The server blocks of a configuration in one text. */
import { readServerBlocks, type ServerBlock } from '../../lib/explanation/server-blocks.ts'
import { readNginx } from '../../lib/nginx/config/parse.ts'

export function blocksIn(http: string): readonly ServerBlock[] {
  const text = `http { ${http} }`
  const tree = {
    read: () => ({ text, directives: readNginx(text).directives }),
    list: () => [],
    realPath: () => undefined,
  }
  return readServerBlocks('/etc/nginx/nginx.conf', tree)
}
