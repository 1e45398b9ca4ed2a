'use strict';
// What a message is made of comes back as it was sent.

const { createHash } = require('node:crypto');
const { Inbox } = require('./inbox');

/** Send one message to a queue of our own, and get it by consuming. */
async function thereAndBack(connection, body, options) {
  const channel = await connection.createChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  const inbox = new Inbox();
  await channel.consume(queue, inbox.take, { noAck: true });
  channel.sendToQueue(queue, body, options);
  return inbox.next();
}

/** Bytes without a pattern, the same in every run. */
function noise(size) {
  const parts = [];
  for (let n = 0; n * 32 < size; n++) parts.push(createHash('sha256').update(`${n}`).digest());
  return Buffer.concat(parts).subarray(0, size);
}

/** Send bodies of these sizes with that frame-max; whether each came as it went. */
async function bodies(connect, frameMax, ...sizes) {
  const connection = await connect({ frameMax: Number(frameMax) });
  const same = [];
  for (const size of sizes) {
    const sent = noise(Number(size));
    same.push(sent.equals((await thereAndBack(connection, sent)).content));
  }
  return { frameMax: connection.connection.frameMax, same };
}

const HEADERS = {
  nothing: null,
  yes: true,
  no: false,
  text: 'Zürich — 東京',
  empty: '',
  tiny: -128,
  octet: { '!': 'uint8', value: 255 },
  short: -32768,
  word: { '!': 'uint16', value: 65535 },
  int: -2147483648,
  unsigned: { '!': 'uint32', value: 4294967295 },
  long: 2 ** 40,
  float: { '!': 'float', value: 0.25 },
  double: Math.PI,
  price: { '!': 'decimal', value: { places: 2, digits: 1999 } },
  at: { '!': 'timestamp', value: 1760000000 },
  bytes: Buffer.from([0, 255, 128]),
  list: [1, 'two', [null, { three: [3.5] }], []],
  table: { inner: { innermost: ['x', { '!': 'timestamp', value: 1 }] }, none: {} },
};

/** Headers of every type that the client can send; what it sent and what it got, both as it reads them. */
async function headers(connect) {
  const message = await thereAndBack(await connect(), Buffer.alloc(0), { headers: HEADERS });
  const plain = Object.entries(HEADERS).map(([key, value]) => {
    const read = value && ['uint8', 'uint16', 'uint32', 'float'].includes(value['!']) ? value.value : value;
    return [key, read];
  });
  return { sent: Object.fromEntries(plain), came: message.properties.headers };
}

/** Every property that the client can set. */
async function properties(connect) {
  const message = await thereAndBack(await connect(), Buffer.from('{}'), {
    contentType: 'application/json',
    contentEncoding: 'utf-8',
    persistent: true,
    priority: 4,
    correlationId: 'correlation',
    replyTo: 'reply',
    expiration: 60000,
    messageId: 'message',
    timestamp: 1760000000,
    type: 'assetsIngest',
    userId: 'guest',
    appId: 'phraseanet',
  });
  return message.properties;
}

module.exports = { bodies, headers, properties };
