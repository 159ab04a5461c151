import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { MAX_WAITING_ORDERS, orderQueue } from '../../lib/issuance/order-queue.ts'
import { refusal, settled } from '../helpers/arrange.ts'

const test = suite('order-queue')
const always = () => true

/** A queue whose first order runs until it is released. */
function held() {
  const queue = orderQueue()
  const gate = Promise.withResolvers<void>()
  const made: string[] = []
  const order = (name: string, isWanted = always) =>
    queue.order(name, isWanted, async () => {
      made.push(name)
      if (name === 'first') await gate.promise
      return name
    })
  return { queue, order, made, first: order('first'), release: () => gate.resolve() }
}

test('orders are made one at a time, in their order, and everyone can see where each is', async () => {
  const { queue, order, made, first, release } = held()
  const others = [order('b'), order('c')]
  assert.equal(made, ['first'])
  assert.equal(queue.placeOf('first'), { state: 'running', position: 0 })
  assert.equal(queue.placeOf('b'), { state: 'waiting', position: 1 })
  assert.equal(queue.placeOf('c'), { state: 'waiting', position: 2 })
  assert.equal([queue.placeOf('d'), queue.waiting], [undefined, 2])
  release()
  assert.equal(await Promise.all([first, ...others]), ['first', 'b', 'c'])
  assert.equal(made, ['first', 'b', 'c'])
  await settled()
  assert.equal([queue.placeOf('c'), queue.waiting], [undefined, 0])
})

test('a full queue refuses with what to do, and takes orders again once there is room', async () => {
  const { queue, order, made, first, release } = held()
  const waiting = Array.from({ length: MAX_WAITING_ORDERS }, (_, i) => order(`w${i}`))
  const { details, retryAfterS, message } = await refusal(order('late'), 'BUSY')
  assert.match(message, /20 certificate orders are waiting/)
  assert.match(String(details.remedy), /ssl_order/)
  assert.ok(retryAfterS !== undefined)
  release()
  await Promise.all([first, ...waiting])
  assert.is(await order('late'), 'late')
  assert.is(made.length, MAX_WAITING_ORDERS + 2)
  assert.is(queue.waiting, 0)
})

test('an order that nobody wants any more is neither made nor counted, and keeps nobody out', async () => {
  const { queue, order, made, first, release } = held()
  let isWanted = true
  const left = Array.from({ length: MAX_WAITING_ORDERS }, (_, i) => order(`left${i}`, () => isWanted))
  isWanted = false
  assert.equal([queue.waiting, queue.placeOf('left0')], [0, undefined])
  const last = order('last')
  assert.equal(queue.placeOf('last'), { state: 'waiting', position: 1 })
  release()
  for (const gone of left) await refusal(gone, 'BUSY')
  assert.is(await last, 'last')
  await first
  assert.equal(made, ['first', 'last'])
})

test('a job that needs certbot alone waits for the running order only, and is no order', async () => {
  const { queue, order, made, first, release } = held()
  const second = order('second')
  const job = queue.exclusively(async () => void made.push('job'))
  assert.is(queue.waiting, 1)
  release()
  await Promise.all([first, second, job])
  assert.equal(made, ['first', 'job', 'second'])
})

test('an order that fails lets the next one begin', async () => {
  const queue = orderQueue()
  const failed = queue.order('a', always, async () => Promise.reject(new Error('CA down')))
  const next = queue.order('b', always, async () => 'b')
  assert.match(String(await failed.catch((error: unknown) => error)), /CA down/)
  assert.is(await next, 'b')
})

test.run()
