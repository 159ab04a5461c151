/** A Registry's answer, read without pauses. */
import { parseRegistry, type RegistryAnswer } from '../../lib/mesh/registry-records.ts'

export function readRegistry(answer: unknown): RegistryAnswer | undefined {
  const reading = parseRegistry(answer)
  for (;;) {
    const { done, value } = reading.next()
    if (done === true) return value
  }
}
