import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Candidate, renderCandidate } from '../../../lib/nginx/config/candidate.ts'
import { readNginx } from '../../../lib/nginx/config/parse.ts'
import { debianFiles, memoryTree } from '../../helpers/memory-tree.ts'

const test = suite('candidate')

const MAIN = '/etc/nginx/nginx.conf'
const ENABLED = '/etc/nginx/sites-enabled'
const STAGING = '/state/staging/1'

function render(
  files: Readonly<Record<string, string>>,
  changed: Readonly<Record<string, string | null>> = {},
): Candidate {
  const options = {
    mainPath: MAIN,
    sitesEnabled: ENABLED,
    stagingFolder: STAGING,
    pidPath: `${STAGING}/nginx.pid`,
    changed: new Map(Object.entries(changed)),
  }
  return renderCandidate(options, memoryTree(files))
}

const enabled = (...names: string[]) => Object.fromEntries(names.map((name) => [`${ENABLED}/${name}`, '']))
const includeLive = (...names: string[]) => names.map((name) => `include "${ENABLED}/${name}";`).join(' ')
const PID = `pid "${STAGING}/nginx.pid";`

test("of Debian's main file, only pid and the include of sites-enabled change", () => {
  const files = debianFiles()
  const { main, nested } = render(files, { 'fpai-a.conf': `${STAGING}/fpai-a.conf` })
  const live = files[MAIN] ?? ''
  const expected = live
    .replace('pid /run/nginx.pid;', PID)
    .replace('include /etc/nginx/sites-enabled/*;', `include "${ENABLED}/default"; include "${STAGING}/fpai-a.conf";`)
  assert.is(main, expected)
  assert.is(main.split('\n').length, live.split('\n').length)
  assert.is(nested.size, 0)
})

test("enabled files are in the glob's order, with created, changed and removed ones, without dot-files", () => {
  const files = {
    [MAIN]: `pid x; http { include ${ENABLED}/*; }`,
    ...enabled('default', 'fpai-b.conf', 'fpai-c.conf', 'Z', '.fpai-x.tmp'),
  }
  const changed = {
    'fpai-a.conf': `${STAGING}/fpai-a.conf`,
    'fpai-b.conf': `${STAGING}/fpai-b.conf`,
    'fpai-c.conf': null,
    '000-proxy-manager.conf': `${STAGING}/000-proxy-manager.conf`,
  }
  assert.is(
    render(files, changed).main,
    `${PID} http { include "${STAGING}/000-proxy-manager.conf"; ${includeLive('Z', 'default')} include "${STAGING}/fpai-a.conf"; include "${STAGING}/fpai-b.conf"; }`,
  )
})

test('names that the pattern does not match are left out', () => {
  const files = { [MAIN]: `pid x; http { include ${ENABLED}/*.conf; }`, ...enabled('default', 'a.conf', 'b.conf~') }
  assert.is(render(files).main, `${PID} http { ${includeLive('a.conf')} }`)
})

test('an empty sites-enabled replaces its include with nothing', () => {
  assert.is(render({ [MAIN]: `pid x; http { include ${ENABLED}/*; }` }).main, `${PID} http {  }`)
})

test('a relative include, and one with a doubled slash, is understood', () => {
  for (const pattern of ['sites-enabled/*', '/etc/nginx/sites-enabled//*', '"sites-enabled/*"']) {
    const files = { [MAIN]: `pid x; http { include ${pattern}; }`, ...enabled('a') }
    assert.is(
      render(files, { b: '/staged/b' }).main,
      `${PID} http { ${includeLive('a')} include "/staged/b"; }`,
      pattern,
    )
  }
})

test('a file that includes sites-enabled is copied, and its neighbours are named one by one', () => {
  const files = {
    [MAIN]: 'pid x; http { include mime.types; include conf.d/*.conf; }',
    '/etc/nginx/mime.types': '',
    '/etc/nginx/conf.d/a.conf': 'gzip on;',
    '/etc/nginx/conf.d/sites.conf': `# ours\ninclude ${ENABLED}/*; # x\nkeepalive_timeout 5;`,
    '/etc/nginx/conf.d/z.conf': '',
    ...enabled('one'),
  }
  const { main, nested } = render(files, { two: '/staged/two' })
  assert.is(
    main,
    `${PID} http { include mime.types; include "/etc/nginx/conf.d/a.conf"; include "${STAGING}/0-sites.conf"; include "/etc/nginx/conf.d/z.conf"; }`,
  )
  assert.equal(
    [...nested],
    [['0-sites.conf', `# ours\n${includeLive('one')} include "/staged/two"; # x\nkeepalive_timeout 5;`]],
  )
})

test('nested includes are followed to the end, each copy under its own name', () => {
  const files = {
    [MAIN]: 'pid x; include http.conf;',
    '/etc/nginx/http.conf': 'http { include a/sites.conf; include b/sites.conf; }',
    '/etc/nginx/a/sites.conf': `include ${ENABLED}/*;`,
    '/etc/nginx/b/sites.conf': `include ${ENABLED}/*;`,
    ...enabled('one'),
  }
  const { main, nested } = render(files)
  assert.is(main, `${PID} include "${STAGING}/2-http.conf";`)
  assert.equal(Object.fromEntries(nested), {
    '0-sites.conf': includeLive('one'),
    '1-sites.conf': includeLive('one'),
    '2-http.conf': `http { include "${STAGING}/0-sites.conf"; include "${STAGING}/1-sites.conf"; }`,
  })
})

test('includes of other files stay byte for byte, readable or not', () => {
  const text = "pid x;\nhttp {\n\tinclude  mime.types ;include '/no/such/*.conf';\n\tinclude conf.d/*;\n}\n"
  const files = { [MAIN]: text, '/etc/nginx/mime.types': '', '/etc/nginx/conf.d/a': 'server { }' }
  assert.is(render(files).main, text.replace('pid x;', PID))
})

test('a missing pid directive is added on the first line; one in an included file is replaced', () => {
  assert.is(render({ [MAIN]: '# x\nhttp { }\n' }).main, `${PID} # x\nhttp { }\n`)
  const { main, nested } = render({ [MAIN]: 'include pid.conf;\nhttp { }', '/etc/nginx/pid.conf': 'pid /run/x.pid;\n' })
  assert.is(main, `include "${STAGING}/0-pid.conf";\nhttp { }`)
  assert.equal([...nested], [['0-pid.conf', `${PID}\n`]])
})

test('every line keeps its number, also after directives that span lines', () => {
  const text = `pid\n  /run/nginx.pid;\nhttp {\n  include # all\n\n    ${ENABLED}/*;\n  broken here;\n}\n`
  const files = { [MAIN]: text, ...enabled('a', 'b') }
  const { main } = render(files)
  const lineOf = (written: string) => readNginx(written).directives.at(-1)?.block?.at(-1)?.line
  assert.is(lineOf(main), lineOf(text))
  assert.is(lineOf(main), 7)
})

test("the host's comments, quotes and white space stay byte for byte", () => {
  const before = '\ufeff# pid /x;\r\nuser "www-data" ; \'env\' A;\n\n'
  const after = ` \t# include ${ENABLED}/*;\n   log_format x '$a "\\t" {}';\n}\n# end without a line end`
  const files = { [MAIN]: `${before}http {include ${ENABLED}/*;${after}`, ...enabled('a') }
  assert.is(render(files).main, `${PID} ${before}http {${includeLive('a')}${after}`)
})

test('a file that includes itself stays as it is, so that NGINX refuses it', () => {
  const text = `pid x; http { include loop.conf; include ${ENABLED}/*; }`
  const files = { [MAIN]: text, '/etc/nginx/loop.conf': 'include loop.conf;', ...enabled('a') }
  assert.is(render(files).main, `${PID} http { include loop.conf; ${includeLive('a')} }`)
})

test('paths with special characters are quoted', () => {
  const files = { [MAIN]: `pid x; http { include ${ENABLED}/*; }`, ...enabled('a b;"c\\') }
  assert.is(render(files).main, `${PID} http { include "${ENABLED}/a b;\\"c\\\\"; }`)
  assert.equal(readNginx(render(files).main).directives[1]?.block?.[0]?.args, [`${ENABLED}/a b;"c\\`])
})

test.run()
