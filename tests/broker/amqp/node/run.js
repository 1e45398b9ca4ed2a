'use strict';
// Plays one case against the broker on a port of this machine, and prints what the client saw as one line of JSON:
// node run.js PORT CASE [ARGUMENT...]. The package amqplib is found through NODE_PATH.
//
// A case is a function of `connect`, which opens connections that are closed at the end, and of its arguments.

const amqp = require('amqplib');

const cases = {
  ...require('./connections'),
  ...require('./routing'),
  ...require('./publishing'),
  ...require('./consuming'),
  ...require('./deaths'),
  ...require('./values'),
  ...require('./refusals'),
};

async function main(port, name, ...rest) {
  const opened = [];
  async function connect({ credentials, ...options } = {}) {
    const where = { protocol: 'amqp', hostname: '127.0.0.1', port: Number(port), ...options };
    const connection = await amqp.connect(where, { credentials, noDelay: true });
    opened.push(connection);
    connection.on('close', () => opened.splice(opened.indexOf(connection), 1));
    return connection;
  }
  const seen = await cases[name](connect, ...rest);
  for (const connection of [...opened]) await connection.close();
  process.stdout.write(`${JSON.stringify(seen)}\n`);
}

main(...process.argv.slice(2));
