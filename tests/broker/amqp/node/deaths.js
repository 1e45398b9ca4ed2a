'use strict';
// Dead letters and their x-death.

const { Inbox } = require('./inbox');

/** A queue of the given options whose dead letters come to the inbox. */
async function mortal(connect, name, options = {}) {
  const channel = await (await connect()).createConfirmChannel();
  await channel.assertExchange(`${name}.dlx`, 'topic', { durable: false, autoDelete: true });
  const { queue } = await channel.assertQueue(`${name}.dead`, { exclusive: true });
  await channel.bindQueue(queue, `${name}.dlx`, '#');
  const inbox = new Inbox();
  await channel.consume(queue, inbox.take, { noAck: true });
  await channel.assertQueue(`${name}.q`, { exclusive: true, deadLetterExchange: `${name}.dlx`, ...options });
  return { channel, inbox };
}

/** What a dead letter is. */
function letter({ fields: { exchange, routingKey }, properties: { headers, expiration, deliveryMode }, content }) {
  return { exchange, routingKey, headers, expiration, deliveryMode, body: content.toString() };
}

/** Reject a message, put it back where it died, and reject it again. */
async function rejected(connect) {
  const { channel, inbox } = await mortal(connect, 'rejected');
  await channel.bindQueue('rejected.q', 'amq.direct', 'key');
  channel.publish('amq.direct', 'key', Buffer.from('bad'), { persistent: true, headers: { kept: [1, 'two'] } });
  await channel.waitForConfirms();
  channel.reject(await channel.get('rejected.q'), false);
  const once = await inbox.next();
  channel.sendToQueue('rejected.q', once.content, once.properties);
  await channel.waitForConfirms();
  channel.nack(await channel.get('rejected.q'), false, false);
  return [letter(once), letter(await inbox.next())];
}

/** Let one message expire by itself, and one by its queue. */
async function expired(connect) {
  const { channel, inbox } = await mortal(connect, 'expired', { messageTtl: 300, deadLetterRoutingKey: 'too.late' });
  channel.sendToQueue('expired.q', Buffer.from('itself'), { expiration: 20 });
  const itself = letter(await inbox.next());
  channel.sendToQueue('expired.q', Buffer.from('the queue'));
  return [itself, letter(await inbox.next())];
}

/** Fill a queue that keeps only its newest message. */
async function pushedOut(connect) {
  const { channel, inbox } = await mortal(connect, 'full', { maxLength: 1 });
  channel.sendToQueue('full.q', Buffer.from('old'));
  channel.sendToQueue('full.q', Buffer.from('new'));
  return letter(await inbox.next());
}

module.exports = { rejected, expired, pushedOut };
