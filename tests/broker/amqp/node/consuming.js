'use strict';
// How messages are fetched, delivered and settled.

const { Inbox, shown } = require('./inbox');

/** A channel with a queue of its own that holds the given messages. */
async function filled(connect, ...bodies) {
  const channel = await (await connect()).createConfirmChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  for (const body of bodies) channel.sendToQueue(queue, Buffer.from(body));
  await channel.waitForConfirms();
  return { channel, queue };
}

/** Messages that are in a queue, ready. */
async function ready(channel, queue) {
  return (await channel.checkQueue(queue)).messageCount;
}

/** Fetch, put back, fetch again, and find the queue empty. */
async function get(connect) {
  const { channel, queue } = await filled(connect, 'a', 'b');
  const first = await channel.get(queue);
  channel.nack(first);
  const again = await channel.get(queue);
  channel.ack(again);
  const last = await channel.get(queue, { noAck: true });
  const fields = [first, again, last].map(({ fields: { deliveryTag, redelivered, messageCount, exchange } }) => {
    return { deliveryTag, redelivered, messageCount, exchange };
  });
  return { fields, keyIsQueue: last.fields.routingKey === queue, empty: await channel.get(queue) };
}

/** How many messages stay in the queue while two, then four are unacknowledged. */
async function prefetch(connect) {
  const { channel, queue } = await filled(connect, '1', '2', '3', '4', '5', '6', '7');
  const inbox = new Inbox();
  await channel.prefetch(2);
  await channel.consume(queue, inbox.take, { consumerTag: 'slow' });
  const two = await inbox.nextOnes(2);
  const counts = [await ready(channel, queue)];
  channel.ack(two[1], true);
  const more = await inbox.nextOnes(2);
  counts.push(await ready(channel, queue));
  channel.ack(more[0]);
  const next = await inbox.next();
  counts.push(await ready(channel, queue));
  const { consumerTag } = next.fields;
  return { bodies: [...two, ...more, next].map((message) => message.content.toString()), counts, consumerTag };
}

/** ack, reject and nack, alone and for all up to a message; what is put back comes first, and says so. */
async function settle(connect) {
  const { channel, queue } = await filled(connect, '1', '2', '3', '4', '5', '6');
  const inbox = new Inbox();
  await channel.consume(queue, inbox.take);
  const [one, two, three, , five, six] = await inbox.nextOnes(6);
  channel.ack(one);
  channel.reject(two, false);
  channel.reject(three, true);
  const rejected = shown(await inbox.next());
  channel.nack(five, true, true);
  const nacked = (await inbox.nextOnes(2)).map(shown);
  channel.nack(six, true, false);
  await channel.recover();
  const recovered = (await inbox.nextOnes(3)).map(shown);
  channel.ackAll();
  return { rejected, nacked, recovered, left: await ready(channel, queue) };
}

/** After the client's cancel, messages stay in the queue, and those in hand can still be acknowledged. */
async function cancel(connect) {
  const { channel, queue } = await filled(connect, 'before');
  const inbox = new Inbox();
  const { consumerTag } = await channel.consume(queue, inbox.take);
  const message = await inbox.next();
  const answer = await channel.cancel(consumerTag);
  channel.sendToQueue(queue, Buffer.from('after'));
  await channel.waitForConfirms();
  channel.ack(message);
  const { messageCount, consumerCount } = await channel.checkQueue(queue);
  return { sameTag: answer.consumerTag === consumerTag, messageCount, consumerCount, unread: inbox.came.length };
}

/** The queue goes while two consumers of one channel are there; the channel goes on. */
async function cancelByTheBroker(connect) {
  const channel = await (await connect()).createChannel();
  const deleting = await (await connect()).createChannel();
  await channel.assertQueue('going.q', { autoDelete: true, durable: false });
  const inboxes = [new Inbox(), new Inbox()];
  for (const inbox of inboxes) await channel.consume('going.q', inbox.take);
  await deleting.deleteQueue('going.q');
  const cancelled = [await inboxes[0].next(), await inboxes[1].next()];
  const { consumerCount } = await channel.assertQueue('going.q', { exclusive: true });
  return { cancelled, consumerCount };
}

module.exports = { get, prefetch, settle, cancel, cancelByTheBroker };
