'use strict';
// Coming and going: logins, channels, heartbeats, and the end of a connection.

const { once } = require('node:events');
const { credentials } = require('amqplib');
const { Inbox } = require('./inbox');

/** Log in and tell what the broker calls itself. */
async function login(connect, mechanism, password, vhost) {
  const connection = await connect({ vhost, credentials: credentials[mechanism]('guest', password) });
  return connection.connection.serverProperties.product;
}

/** The error that a login ends with. */
async function refusedLogin(connect, ...login_) {
  return login(connect, ...login_).then(
    () => null,
    (error) => error.message,
  );
}

/** Open channels at once, use each, close every second one, and fill the gaps. */
async function manyChannels(connect, count) {
  const connection = await connect();
  const channels = await Promise.all(Array.from({ length: Number(count) }, () => connection.createConfirmChannel()));
  const bodies = await Promise.all(
    channels.map(async (channel, n) => {
      const { queue } = await channel.assertQueue('', { exclusive: true });
      const inbox = new Inbox();
      await channel.consume(queue, inbox.take, { noAck: true });
      channel.sendToQueue(queue, Buffer.from(`for ${n}`));
      await channel.waitForConfirms();
      return (await inbox.next()).content.toString();
    }),
  );
  const numbers = channels.map((channel) => channel.ch);
  const closed = channels.filter((_, n) => n % 2);
  await Promise.all(closed.map((channel) => channel.close()));
  const reopened = await Promise.all(closed.map(() => connection.createChannel()));
  return { bodies, numbers, reopened: reopened.map((channel) => channel.ch) };
}

/** Be silent for longer than the three heartbeats after which the client gives up; then a message comes. */
async function heartbeats(connect) {
  const connection = await connect({ heartbeat: 1 });
  const channel = await connection.createChannel();
  const dead = await channel.assertQueue('', { exclusive: true });
  const slow = await channel.assertQueue('', {
    exclusive: true,
    deadLetterExchange: '',
    deadLetterRoutingKey: dead.queue,
    messageTtl: 3300,
  });
  const inbox = new Inbox();
  await channel.consume(dead.queue, inbox.take);
  channel.sendToQueue(slow.queue, Buffer.from('still here'));
  const message = await inbox.next();
  return { heartbeat: connection.connection.heartbeat, body: message.content.toString() };
}

/** Close a connection with work in hand, and look from another one at what it leaves. */
async function close(connect) {
  const leaving = await connect();
  const staying = await connect();
  const channel = await leaving.createChannel();
  await channel.assertQueue('close.mine', { exclusive: true });
  await channel.assertQueue('close.shared');
  channel.sendToQueue('close.shared', Buffer.from('unacknowledged'));
  const inbox = new Inbox();
  await channel.consume('close.shared', inbox.take);
  await inbox.next();
  const events = [];
  for (const name of ['error', 'close']) {
    channel.on(name, () => events.push(`channel ${name}`));
    leaving.on(name, () => events.push(`connection ${name}`));
  }
  await channel.close();
  await leaving.close();

  const looking = await staying.createChannel();
  const back = await looking.get('close.shared', { noAck: true });
  await looking.deleteQueue('close.shared');
  const gone = once(looking, 'error');
  looking.checkQueue('close.mine').catch(() => {});
  const [error] = await gone;
  return { events, redelivered: back.fields.redelivered, exclusiveQueue: error.code };
}

module.exports = { login, refusedLogin, manyChannels, heartbeats, close };
