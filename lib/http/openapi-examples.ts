/** What answers look like, for the API's description. */
import { PROXY_EXAMPLES } from './openapi-proxy-examples.ts'
import type { AnswerExamples } from './openapi-sample.ts'
import { SERVICE_EXAMPLES } from './openapi-service-examples.ts'

export const ANSWER_EXAMPLES: AnswerExamples = { ...PROXY_EXAMPLES, ...SERVICE_EXAMPLES }
