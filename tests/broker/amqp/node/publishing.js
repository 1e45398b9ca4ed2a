'use strict';
// Confirms, and messages that come back.

/** Publish with a callback each, which gets null for an ack and an error for a nack. */
async function confirms(connect, count) {
  const channel = await (await connect()).createConfirmChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  const answers = [];
  for (let n = 0; n < Number(count); n++) {
    channel.sendToQueue(queue, Buffer.from(`${n}`), { persistent: true }, (error) => answers.push([n, error]));
  }
  await channel.waitForConfirms();
  return { answers, ready: (await channel.checkQueue(queue)).messageCount };
}

/** Publish three messages to a queue that takes only one. */
async function nackedPublishes(connect) {
  const channel = await (await connect()).createConfirmChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true, maxLength: 1, overflow: 'reject-publish' });
  const answers = [];
  for (const body of ['1', '2', '3']) {
    answers.push(
      await new Promise((resolve) => {
        channel.sendToQueue(queue, Buffer.from(body), {}, (error) => resolve(error && error.message));
      }),
    );
  }
  return answers;
}

/** Publish a mandatory message that no queue takes; the order in which its return and its confirm come. */
async function mandatory(connect) {
  const channel = await (await connect()).createConfirmChannel();
  const events = [];
  channel.on('return', (message) => {
    const { exchange, routingKey, replyCode, replyText } = message.fields;
    const { messageId, headers } = message.properties;
    events.push({ exchange, routingKey, replyCode, replyText, messageId, headers, body: message.content.toString() });
  });
  const options = { mandatory: true, messageId: 'm-1', headers: { asset: 'a' } };
  channel.publish('amq.topic', 'nobody.cares', Buffer.from('lost'), options, (error) => events.push(error));
  await channel.waitForConfirms();
  return events;
}

module.exports = { confirms, nackedPublishes, mandatory };
