/** A Registry's answer, read without a pause. */
import { type RegistryAnswer, readingRegistry } from '../../lib/core/registry.ts'

export function readRegistry(answer: unknown): RegistryAnswer | undefined {
  const reading = readingRegistry(answer)
  for (;;) {
    const { done, value } = reading.next()
    if (done === true) return value
  }
}
