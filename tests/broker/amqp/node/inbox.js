'use strict';
// What comes to a consumer, one message after the other.

class Inbox {
  constructor() {
    this.came = [];
    this.waiting = [];
  }

  /** To be given to `consume`; it gets null when the broker cancels the consumer. */
  take = (message) => {
    const waiting = this.waiting.shift();
    if (waiting) waiting(message);
    else this.came.push(message);
  };

  /** The next message, as soon as it comes. */
  next() {
    if (this.came.length) return Promise.resolve(this.came.shift());
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  /** The next messages, in their order. */
  async nextOnes(count) {
    const messages = [];
    while (messages.length < count) messages.push(await this.next());
    return messages;
  }
}

/** What a message says and whether it has been delivered before. */
function shown(message) {
  return [message.content.toString(), message.fields.redelivered];
}

module.exports = { Inbox, shown };
