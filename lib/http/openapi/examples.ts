/** What answers look like, for the API's description. */
import { PROXY_EXAMPLES } from './proxy-examples.ts'
import type { AnswerExamples } from './sample.ts'
import { SERVICE_EXAMPLES } from './service-examples.ts'

export const ANSWER_EXAMPLES: AnswerExamples = { ...PROXY_EXAMPLES, ...SERVICE_EXAMPLES }
