/** Carries out the manual's examples of code: as files in this clone, since that is what their imports are relative to. */
import { rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import * as assert from 'uvu/assert'
import { freePort } from '../../../fixtures/free-port.ts'
import type { Example } from '../fenced-blocks.ts'
import { ROOT } from '../manual-pages.ts'
import { SOURCE_OF } from './package-sources.ts'
import type { ReadmeScene } from './readme-scene.ts'
import { putHello, type Take } from './readme-takes.ts'

/** A script holds under the type rules of this clone, and prints what is shown. */
export const takeScript: Take = async (example, { scene }) => {
  const { at, shown } = example
  await withFile(example, scene, async (path) => {
    const { status, out, err } = await scene.run(`node '${path}'`)
    assert.is(status, 0, `${at}: ${err}`)
    assert.is(out, shown?.text, `${shown?.at ?? at} is stale`)
  })
}

/** The package in another process, on the same host: under its base it answers what the API does. The API itself has to be gone. */
export const takePackage: Take = async (example, context) => {
  const { scene } = context
  await putHello(context)
  await scene.manager.end()
  const port = await freePort()
  const hooks = join(import.meta.dirname, 'own-package.ts')
  await withFile({ ...example, text: scene.place(example.text, { 8200: port }) }, scene, async (path) => {
    await scene.startListening(`exec node --import '${hooks}' '${path}'`, port, scene.environment)
    const { status, headers } = await fetch(`http://127.0.0.1:${port}/pm/proxies/hello`)
    assert.equal([status, headers.has('etag')], [200, true], example.at)
  })
}

/** Keeps an example as a file at the root while it is used; its name begins with a dot, so that nothing else takes it for a source. */
async function withFile(
  { at, text, language }: Example,
  scene: ReadmeScene,
  use: (path: string) => Promise<void>,
): Promise<void> {
  const path = join(ROOT, `.readme-${process.pid}-${at.replace(/\W/g, '-')}.${language}`)
  const project = `${path}.tsconfig`
  const compilerOptions = {
    allowJs: true,
    checkJs: true,
    paths: Object.fromEntries([...SOURCE_OF].map(([name, source]) => [name, [source]])),
  }
  try {
    writeFileSync(path, text)
    writeFileSync(
      project,
      JSON.stringify({ extends: './tsconfig.json', compilerOptions, include: [], files: [basename(path)] }),
    )
    const { status, out } = await scene.run(`node_modules/.bin/tsc -p '${project}'`)
    assert.is(status, 0, `${at}: ${out}`)
    await use(path)
  } finally {
    for (const file of [path, project]) rmSync(file, { force: true })
  }
}
