#!/usr/bin/env node
/** The command line's entry: all that it knows of the process. */
import { hostFiles } from '../adapters/files.ts'
import { withTokenFiles } from '../core/settings.ts'
import { run } from './run.ts'

const words = process.argv.slice(2)
// A reader that goes away (`| head`) is no failure of a command; a service without its log's reader is one.
if (words[0] !== 'serve' || words.includes('--help'))
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
const status = await run(words, {
  environment: withTokenFiles(process.env, (path) => hostFiles().read(path)?.text),
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  program: [process.execPath, import.meta.filename],
})
if (status !== undefined) process.exitCode = status
