/** A Registry's answer, read without pauses. */
import { type RegistryAnswer, readingRegistry } from '../../lib/mesh/registry-records.ts'

export function readRegistry(answer: unknown): RegistryAnswer | undefined {
  const reading = readingRegistry(answer)
  for (;;) {
    const { done, value } = reading.next()
    if (done === true) return value
  }
}
