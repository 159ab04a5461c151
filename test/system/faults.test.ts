import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { FaultsPart } from '../proof/faults/bounds.ts'
import { deploys } from '../proof/faults/deploys.ts'
import { disk } from '../proof/faults/disk.ts'
import { downtime } from '../proof/faults/downtime.ts'
import { others } from '../proof/faults/others.ts'
import { soak } from '../proof/faults/soak.ts'
import { describeFindings, isKept } from '../proof/findings.ts'

const test = suite('the proof of faults, in short')

/** The storm and the sweep have their own tests; the part about system calls needs strace, which tests do without. */
const PARTS: Readonly<Record<string, FaultsPart>> = { disk, others, downtime, deploys, soak }
const BOUNDS = { every: 1, rounds: 1, clients: 1, changes: 3, deploys: 2, soak: 300 }

for (const [name, part] of Object.entries(PARTS)) {
  test(`${name}: ${part.title}, and every promise is kept`, async () => {
    const findings = await part.run(BOUNDS, new AbortController().signal)
    assert.ok(isKept(findings), describeFindings(name, part.title, 0, findings))
    assert.ok(findings.figures.length > 0 || findings.impossible !== undefined)
  })
}

test.run()
