'use strict';
// Exchanges, queues and what lies between them.

/** The bodies that wait in a queue, in order. */
async function bodies(channel, queue) {
  const found = [];
  for (;;) {
    const message = await channel.get(queue, { noAck: true });
    if (!message) return found;
    found.push(message.content.toString());
  }
}

/** For each type of exchange, two queues bound in different ways, and the messages that reach them. */
async function exchangeTypes(connect) {
  const channel = await (await connect()).createConfirmChannel();
  const bindings = {
    direct: [['a.b'], ['a']],
    fanout: [['x'], ['y']],
    topic: [['a.#'], ['*.b']],
    headers: [
      ['', { 'x-match': 'all', kind: 'image', size: 2 }],
      ['', { 'x-match': 'any', kind: 'image', size: 1 }],
    ],
  };
  const messages = [
    ['a', { kind: 'image', size: 2 }],
    ['a.b', { kind: 'image', size: 3 }],
    ['c.b', { kind: 'text', size: 1 }],
    ['c', {}],
  ];
  const reached = {};
  for (const [type, places] of Object.entries(bindings)) {
    const { exchange } = await channel.assertExchange(`types.${type}`, type, { durable: false, autoDelete: true });
    const queues = [];
    for (const [pattern, headers] of places) {
      const { queue } = await channel.assertQueue('', { exclusive: true });
      await channel.bindQueue(queue, exchange, pattern, headers);
      queues.push(queue);
    }
    for (const [key, headers] of messages) channel.publish(exchange, key, Buffer.from(key), { headers });
    await channel.waitForConfirms();
    reached[type] = [await bodies(channel, queues[0]), await bodies(channel, queues[1])];
    for (const queue of queues) await channel.deleteQueue(queue);
  }
  return reached;
}

/** From one exchange to another, to an alternate exchange, and no more after unbinding. */
async function exchangeToExchange(connect) {
  const channel = await (await connect()).createConfirmChannel();
  const transient = { durable: false, autoDelete: true };
  const other = (await channel.assertQueue('', { exclusive: true })).queue;
  const queue = (await channel.assertQueue('', { exclusive: true })).queue;
  await channel.assertExchange('between.rest', 'fanout', transient);
  await channel.bindQueue(other, 'between.rest', '');
  await channel.assertExchange('between.first', 'direct', { durable: false, alternateExchange: 'between.rest' });
  await channel.assertExchange('between.second', 'fanout', transient);
  await channel.bindQueue(queue, 'between.second', '');
  await channel.bindExchange('between.second', 'between.first', 'k');
  channel.publish('between.first', 'k', Buffer.from('bound'));
  channel.publish('between.first', 'l', Buffer.from('not bound'));
  await channel.unbindExchange('between.second', 'between.first', 'k');
  channel.publish('between.first', 'k', Buffer.from('unbound'));
  await channel.waitForConfirms();
  await channel.deleteExchange('between.first');
  return { queue: await bodies(channel, queue), alternate: await bodies(channel, other) };
}

/** Declare a queue twice, with arguments under the client's names for them, and look at the answers. */
async function queueWithArguments(connect) {
  const channel = await (await connect()).createConfirmChannel();
  const options = {
    exclusive: true,
    expires: 60000,
    messageTtl: 50000,
    deadLetterExchange: 'amq.direct',
    deadLetterRoutingKey: 'dead',
    maxLength: 3,
    overflow: 'drop-head',
    queueMode: 'lazy',
  };
  const first = await channel.assertQueue('arguments.q', options);
  for (const body of ['1', '2', '3', '4']) channel.sendToQueue('arguments.q', Buffer.from(body));
  await channel.waitForConfirms();
  const again = await channel.assertQueue('arguments.q', options);
  const newest = await bodies(channel, 'arguments.q');
  channel.sendToQueue('arguments.q', Buffer.from('purged'));
  await channel.waitForConfirms();
  const purged = await channel.purgeQueue('arguments.q');
  return { first, again, newest, purged, deleted: await channel.deleteQueue('arguments.q') };
}

module.exports = { exchangeTypes, exchangeToExchange, queueWithArguments };
