#!/usr/bin/env -S node --max-semi-space-size=4 --initial-old-space-size=32 --disable-sigusr1
/** The entry of the command line: runs it in this process. */
import { hostClock } from '../adapters/clock.ts'
import { readWholeFile } from '../adapters/files.ts'
import { patientFetch } from '../adapters/http-client.ts'
import { run } from './program.ts'
import { hostTerminal } from './terminal.ts'

const { argv, binary, tolerateClosedReader, exitWith, ...terminal } = hostTerminal()
// A command may lose its reader; a service that loses the reader of its log has failed.
if (argv[0] !== 'serve' || argv.includes('--help') || argv.includes('-h')) tolerateClosedReader()
const program = [binary, import.meta.filename]
const { randomId } = hostClock()
const status = await run(argv, { ...terminal, read: readWholeFile, fetch: patientFetch, randomId, program })
if (status !== undefined) exitWith(status)
