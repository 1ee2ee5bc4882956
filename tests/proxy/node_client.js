// blynk-library of npm as a user has it: log in, write, hear a write, sync, ping, and come back after the server left.
//
// `node node_client.js FOLDER PORT TOKEN [CA]`, FOLDER being where npm installed it. Prints, as JSON, what the client was told.
'use strict';

const path = require('path');

const PATIENCE = 20000, HEARTBEAT = 300;
// Pins: written by the device, answered on, synchronised, at which the server leaves, and one that tells of pings.
const WRITTEN = 2, HEARD = 1, SYNCED = 5, LEAVE = 9, ASKED = 6;

const [folder, port, token, ca] = process.argv.slice(2);
const timer = setTimeout;
// It waits for seconds before it comes back.
global.setTimeout = (call, delay, ...rest) => timer(call, Math.min(delay, 50), ...rest);
// It tells of all it does on standard output, where the answer goes.
console.log = console.error;

const library = path.join(folder, 'node_modules', 'blynk-library');
const Blynk = require(library);
const connectors = require(path.join(library, 'blynk-node.js'));

const options = {addr: 'localhost', port: Number(port)};
const connector = ca ? new connectors.SslClient({...options, ca: [ca]}) : new connectors.TcpClient(options);
const blynk = new Blynk.Blynk(token, {connector, heartbeat: HEARTBEAT});
const pin = number => new blynk.VirtualPin(number);
const [written, heard, synced, leave, asked] = [WRITTEN, HEARD, SYNCED, LEAVE, ASKED].map(pin);
const events = [];
let connects = 0;

function end(code, told) {
  process.stdout.write(JSON.stringify(told) + '\n', () => process.exit(code));
}

blynk.on('connect', () => {
  events.push(['connected']);
  connects += 1;
  written.write(connects === 1 ? 'x0' : 'back');
});
blynk.on('error', error => (/INVALID_TOKEN/.test(String(error)) ? end(0, ['refused']) : events.push(['error', String(error)])));
heard.on('write', values => {
  events.push(['heard', ...values]);
  const next = {x0: () => written.write('x1'), x1: () => written.write('x2'), x2: () => blynk.syncVirtual(SYNCED), back: () => end(0, events)};
  next[values[0]]();
});
synced.on('write', values => events.push(['synced', ...values]));
asked.on('write', values => {
  events.push(['ping', ...values]);
  // A ping may come before the sync was answered.
  if (connects === 1 && events.some(event => event[0] === 'synced')) leave.write(1);
});
timer(() => {
  console.error('it took too long', JSON.stringify(events));
  end(1, events);
}, PATIENCE);
