import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { describeFindings, isKept } from '../proof/findings.ts'
import { raw } from '../proof/fuzz/raw.ts'
import { surface } from '../proof/fuzz/surface.ts'

const test = suite('the proof of hostile callers, in short')

/** The part with slow callers and peers waits for time limits, and measures: only the proof runs it. */
const PARTS = { surface, raw }
const BOUNDS = { requests: 700, raw: 500, connections: 1, seconds: 1, seed: 1 }

for (const [name, part] of Object.entries(PARTS)) {
  test(`${name}: ${part.title}, and every promise is kept`, async () => {
    const findings = await part.run(BOUNDS, new AbortController().signal)
    assert.ok(isKept(findings), describeFindings(name, part.title, 0, findings))
    assert.ok(findings.figures.length > 0)
  })
}

test.run()
