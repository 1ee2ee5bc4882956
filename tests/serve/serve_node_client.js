// Clients of npm as a user has them, through everything that they can do and a restart of their server.
//
// `node serve_node_client.js FOLDER CLIENT NAME PORT TOKEN [CA]`, FOLDER being where npm installed them. Prints, as JSON,
// what the client was told. What the other side does is told in serve_pypi_client.py.
'use strict';

const events = require('events');
const path = require('path');
const util = require('util');

const PATIENCE = 40000;
const [folder, client, name, port, token, ca] = process.argv.slice(2);
const modules = path.join(folder, 'node_modules');
const timer = setTimeout, beat = setInterval;
// blynk-library waits for seconds before it comes back, and for ten where nobody was there.
global.setTimeout = (call, delay, ...rest) => timer(call, Math.min(delay, 100), ...rest);
global.setInterval = (call, delay, ...rest) => beat(call, delay === 10000 ? 1000 : delay, ...rest);
// Both tell of all they do on standard output, where the answer goes.
console.log = console.error;

const told = [];
let connects = 0;

function end(code) {
  process.stdout.write(JSON.stringify(told) + '\n', () => process.exit(code));
}

function say(...event) {
  told.push(event);
}

// What every client does: `self` has write, property, notify, sync and ping, and calls what this gives.
function talk(self) {
  return {
    connected() {
      say('connected');
      connects += 1;
      if (connects === 1) self.write(2, `first ${name} x`);
      else self.sync(1);
    },
    heard(value) {
      say('heard', value);
      if (connects > 1) {
        if (value === 'app') self.write(2, `back ${name} x`);
        else end(0);
      } else if (value === 'rest') {
        self.write(2, `second ${name} x`);
      } else if (told.filter(event => event[1] === 'app').length === 1) {
        self.property(2, 'color', '#112233');
        self.notify('hello');
        self.sync(1);
      } else {
        self.ping();
      }
    },
    pinged() {
      say('ping');
      self.write(9, `leave ${name}`);
    },
    refused() {
      say('refused');
      end(0);
    },
  };
}

function library() {
  const folder = path.join(modules, 'blynk-library');
  const Blynk = require(folder);
  const options = {addr: 'localhost', port: Number(port), path: '/websockets'};
  let connector;
  if (client === 'library-ws') {
    // The connector for browsers: it needs what they have.
    global.WebSocket = require(path.join(modules, 'ws'));
    global.window = {WebSocket: global.WebSocket};
    connector = new (require(path.join(folder, 'blynk-browser.js')).WsClient)(options);
    delete global.window;
  } else {
    const connectors = require(path.join(folder, 'blynk-node.js'));
    connector = ca ? new connectors.SslClient({...options, ca: [ca]}) : new connectors.TcpClient(options);
  }
  const blynk = new Blynk.Blynk(token, {connector, heartbeat: 300, skip_connect: true});
  let waits = false;
  const act = talk({
    write: (pin, value) => blynk.virtualWrite(pin, value),
    property: (pin, key, value) => blynk.setProperty(pin, key, value),
    notify: text => blynk.notify(text),
    sync: pin => blynk.syncVirtual(pin),
    ping: () => { waits = true; },  // with the next beat of its heart
  });
  const send = blynk.sendMsg;
  blynk.sendMsg = function (type, ...rest) {
    send.call(blynk, type, ...rest);
    if (type === 6 && waits) {
      waits = false;
      act.pinged();
    }
  };
  blynk.on('connect', act.connected);
  blynk.on('error', error => { if (/INVALID_TOKEN/.test(String(error))) act.refused(); });
  new blynk.VirtualPin(1).on('write', values => act.heard(values[0]));
  blynk.connect();
}

function nodeRed() {
  // As much of Node-RED as a node of a configuration sees.
  function Node() {}
  util.inherits(Node, events.EventEmitter);
  let node = null, act = null;
  Node.prototype.log = text => { if (/Invalid auth token/.test(text)) act.refused(); };
  Node.prototype.warn = Node.prototype.error = text => say('warned', String(text));
  let Client = null;
  const RED = {
    _: text => text,
    nodes: {
      createNode: one => { node = one; events.EventEmitter.call(one); },
      registerType: (_, constructor) => { Client = constructor; util.inherits(constructor, Node); },
    },
  };
  require(path.join(modules, 'node-red-contrib-blynk-ws', 'nodes', 'blynk-ws-client.js'))(RED);
  act = talk({
    write: (pin, value) => node.virtualWrite(pin, value),
    property: (pin, key, value) => node.setProperty(pin, key, value),
    notify: text => node.sendNotify(text),
    sync: pin => node.syncVirtual(pin),
    ping: () => { node.ping(); act.pinged(); },  // of itself after 15 seconds
  });
  new Client({path: `${ca ? 'wss' : 'ws'}://localhost:${port}/websockets`, key: token, multi_cmd: true});
  node.warn = node.error = text => {
    // What it says of a server that is not there for a while.
    if (!/ECONNREFUSED|ECONNRESET|closed before/.test(String(text))) say('warned', String(text));
  };
  node.on('connected', act.connected);
  node.registerInputNode({nodeType: 'write', pin: '1', send: message => act.heard(message.payload), status() {}});
}

if (client === 'node-red') nodeRed();
else library();

timer(() => {
  console.error('it took too long', JSON.stringify(told));
  end(1);
}, PATIENCE);
