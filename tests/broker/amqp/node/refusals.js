'use strict';
// What the broker refuses, as the client's errors.

const { once } = require('node:events');

/** Have a new channel refused something; the error that its user gets. */
async function refusal(connection, provoke) {
  const channel = await connection.createChannel();
  const told = once(channel, 'error');
  const answer = provoke(channel);
  const rejection = answer && (await answer.catch((error) => error.message));
  const [{ code, classId, methodId, message }] = await told;
  return { code, method: [classId, methodId], message, rejection };
}

/** One refusal of each kind on one connection, which survives them all. */
async function refusals(connect) {
  const connection = await connect();
  const other = await (await connect()).createChannel();
  await other.assertQueue('refusals.theirs', { exclusive: true });
  await other.assertQueue('refusals.q', { autoDelete: true, durable: false });
  await other.consume('refusals.q', () => {}, { exclusive: true });
  const acts = {
    noQueue: (channel) => channel.checkQueue('refusals.none'),
    noExchange: (channel) => channel.publish('refusals.none', 'k', Buffer.from('x')) && undefined,
    noQueueToConsume: (channel) => channel.consume('refusals.none', () => {}),
    otherArguments: (channel) => channel.assertQueue('refusals.q', { autoDelete: true, durable: false, messageTtl: 5 }),
    otherType: (channel) => channel.assertExchange('amq.topic', 'direct'),
    unknownTag: (channel) => channel.ack({ fields: { deliveryTag: 7 } }),
    exclusiveUse: (channel) => channel.consume('refusals.q', () => {}),
    reservedName: (channel) => channel.assertExchange('amq.mine', 'direct'),
    defaultExchange: (channel) => channel.bindQueue('refusals.q', '', 'k'),
    locked: (channel) => channel.assertQueue('refusals.theirs', { exclusive: true }),
  };
  const seen = {};
  for (const [name, act] of Object.entries(acts)) seen[name] = await refusal(connection, act);
  const channel = await connection.createChannel();
  seen.after = (await channel.assertQueue('', { exclusive: true })).messageCount;
  return seen;
}

/** What a connection sees that does something for which the whole connection is closed. */
async function connectionRefusal(connect) {
  const connection = await connect();
  const channel = await connection.createChannel();
  const events = [];
  channel.on('error', (error) => events.push(['channel error', error.code]));
  channel.on('close', () => events.push(['channel close']));
  connection.on('error', (error) => events.push(['connection error', error.code, error.message]));
  const closed = new Promise((resolve) => connection.on('close', resolve));
  const rejected = channel.assertExchange('refusals.strange', 'strange').catch((error) => error.message);
  events.push(['connection close', (await closed).code]);
  return { events, rejection: await rejected };
}

module.exports = { refusals, connectionRefusal };
