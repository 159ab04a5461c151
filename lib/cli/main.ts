#!/usr/bin/env node
/** The command line's entry: it gives the command this host. */
import { hostFiles } from '../adapters/files.ts'
import { hostTerminal } from '../adapters/terminal.ts'
import { withTokenFiles } from '../core/settings.ts'
import { run } from './run.ts'

const { words, environment, binary, out, err, tolerateClosedReader, exitWith } = hostTerminal()
// A command may lose its reader; a service that loses its log's reader has failed.
if (words[0] !== 'serve' || words.includes('--help')) tolerateClosedReader()
const read = (path: string) => hostFiles().read(path)?.text
const status = await run(words, {
  environment: withTokenFiles(environment, read),
  out,
  err,
  read,
  program: [binary, import.meta.filename],
})
if (status !== undefined) exitWith(status)
