#!/usr/bin/env node
/** The command line's entry: it gives the command this host. */
import { readWholeFile } from '../adapters/files.ts'
import { run } from './commands/index.ts'
import { hostTerminal } from './terminal.ts'

const { words, environment, binary, out, err, tolerateClosedReader, exitWith } = hostTerminal()
// A command may lose its reader; a service that loses its log's reader has failed.
if (words[0] !== 'serve' || words.includes('--help')) tolerateClosedReader()
const program = [binary, import.meta.filename]
const status = await run(words, { environment, out, err, read: readWholeFile, program })
if (status !== undefined) exitWith(status)
