// SPDX-License-Identifier: MIT
// doors.js: rows and words of a status, for the pages of Cockpit and LuCI. Run by `node --test`.
'use strict';

process.env.TZ = 'UTC';

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');

const FILE = path.join(__dirname, '../../packaging/web/doors.js');
const doors = require(FILE);

// A status of knockd, with a test's own values.
function status_with(parts = {}) {
  return {
    version: '1.0.0', pid: 7, time: 1700000000.5, uptime: 93784.2,
    config: {file: '/etc/knockd.conf', read: 1699999990, changed: false},
    clock_is_kept: true, max_sources: 65536, commands: {running: 1, waiting: 0},
    interfaces: [], doors: [], openings: [], attempts: [], ...parts,
  };
}

function opening_with(parts = {}) {
  return {
    id: 3, door: 'ssh', address: '192.0.2.7', network: '192.0.2.7', interface: 'eth0',
    since: 1700000000, until: 1700000600, left: 599.7, ...parts,
  };
}

const opening_row = (parts, age = 0) => doors.openings(status_with({openings: [opening_with(parts)]}), age)[0];

function door_with(parts = {}) {
  return {
    name: 'ssh', open: 1, begun: 2, opened: 3, timed_out: 4, wrong: 5, discarded: 6, refused: 7,
    commands_failed: 8, ...parts,
  };
}

function interface_with(parts = {}) {
  return {
    name: 'eth0', listening: true, addresses: ['192.0.2.1', '2001:db8::1'], link_type: 'Ethernet',
    filter_in_kernel: true, packets: 12, lost: 0, sources: 2, age: 0.01, ...parts,
  };
}

const interface_row = parts => doors.interfaces(status_with({interfaces: [interface_with(parts)]}))[0];

const summary_of = (parts, age = 0) => Object.fromEntries(
  doors.summary(status_with(parts), age).map(item => [item.key, [item.text, item.is_bad]]));

test('durations', () => {
  const expected = [[0, '0:00'], [-5, '0:00'], [9.9, '0:09'], [60, '1:00'], [754, '12:34'], [3599, '59:59'],
    [3600, '1:00:00'], [3723, '1:02:03'], [86399, '23:59:59'], [86400, '1d 00:00:00'], [274329, '3d 04:12:09']];
  for (const [seconds, text] of expected) assert.strictEqual(doors.duration_text(seconds), text);
});

test('times are of the reader\'s zone', () => {
  assert.strictEqual(doors.time_text(1700000000.9), '2023-11-14 22:13:20');
  assert.strictEqual(doors.time_text(1704067205), '2024-01-01 00:00:05');
  process.env.TZ = 'Asia/Kolkata';
  try {
    assert.strictEqual(doors.time_text(1704047405), '2024-01-01 00:00:05');
  } finally {
    process.env.TZ = 'UTC';
  }
});

test('an opening', () => {
  assert.deepStrictEqual(opening_row({user: 'alice'}), {
    key: '3 192.0.2.7 ssh', door: 'ssh', address: '192.0.2.7', network: '192.0.2.7', who: '192.0.2.7', user: 'alice',
    interface: 'eth0', since: '2023-11-14 22:13:20', left: '10:00',
  });
});

test('the next daemon begins with the same numbers, but its openings are others', () => {
  const keys = [{}, {door: 'vpn'}, {address: '192.0.2.8'}, {id: 4}].map(parts => opening_row(parts).key);
  assert.strictEqual(new Set(keys).size, 4);
  assert.strictEqual(opening_row({left: 7, until: 8}).key, keys[0]);
});

test('an opening without what may be missing', () => {
  const row = opening_row({interface: '', since: null});
  assert.deepStrictEqual([row.user, row.interface, row.since], ['', 'by hand', 'an earlier run']);
  assert.strictEqual(opening_row({interface: '', fleet: 'site-b'}).interface, 'gateway site-b');
});

test('a network that is let in', () => {
  assert.strictEqual(opening_row({network: '192.0.2.0/24'}).who, '192.0.2.0/24, by 192.0.2.7');
});

test('the time left counts down with the age of the status', () => {
  // Rounded up: it is open until it is over.
  const shown = age => opening_row({left: 61}, age).left;
  assert.deepStrictEqual([0, 0.5, 1, 60, 60.9, 61, 100].map(shown),
                         ['1:01', '1:01', '1:00', '0:01', '0:01', 'closing', 'closing']);
});

test('what closes an opening', () => {
  for (const name of ['ssh', 'all', '192.0.2.7', '--help', 'a b']) {
    assert.deepStrictEqual(doors.close_arguments(opening_row({door: name, network: '192.0.2.0/24'})),
                           ['--close', `--door=${name}`, '192.0.2.7']);
  }
});

test('doors', () => {
  const rows = doors.doors(status_with({doors: [door_with({users: ['alice', 'bob']}), door_with({name: 'vpn'})]}));
  assert.deepStrictEqual(rows[0], {
    key: 'ssh', door: 'ssh', user: 'alice, bob', open: '1', begun: '2', opened: '3', timed_out: '4',
    wrong: '5', discarded: '6', refused: '7', commands_failed: '8',
  });
  assert.deepStrictEqual([rows[1].door, rows[1].user], ['vpn', '']);
});

test('an interface', () => {
  assert.deepStrictEqual(interface_row(), {
    key: 'eth0', interface: 'eth0', state: 'listening', is_bad: false, addresses: '192.0.2.1, 2001:db8::1',
    link_type: 'Ethernet', filter: 'in the kernel', packets: '12', lost: '0', sources: '2 of 65536',
  });
});

test('an interface that is waited for', () => {
  const one = {name: 'ppp0', listening: false, waits_because: 'interface ppp0 does not exist', addresses: []};
  assert.deepStrictEqual(doors.interfaces(status_with({interfaces: [one]})), [{
    key: 'ppp0', interface: 'ppp0', state: 'interface ppp0 does not exist', is_bad: true, addresses: '',
    link_type: '', filter: '', packets: '', lost: '', sources: '',
  }]);
});

test('what is bad at an interface', () => {
  assert.deepStrictEqual([interface_row({lost: 1}).is_bad, interface_row({lost: 1}).lost], [true, '1']);
  const unfiltered = interface_row({filter_in_kernel: false});
  assert.deepStrictEqual([unfiltered.is_bad, unfiltered.filter], [true, 'refused by the kernel']);
  const silent = interface_row({age: 65});
  assert.deepStrictEqual([silent.is_bad, silent.state], [true, 'listening, but silent for 1:05']);
});

test('failed attempts, the newest first', () => {
  const one = {time: 1700000000, address: '198.51.100.9', door: 'ssh', interface: 'eth0', stage: 2,
    reason: 'wrong_knock', text: 'wrong knock tcp 7000, expected tcp 9000'};
  const rows = doors.attempts(status_with({attempts: [one, {...one, stage: 0, text: 'refused'}]}));
  assert.deepStrictEqual(rows.map(row => [row.key, row.stage, row.reason]),
                         [['1', 'complete', 'refused'], ['0', 'after knock 2', one.text]]);
  assert.deepStrictEqual([rows[1].time, rows[1].address, rows[1].door, rows[1].interface],
                         ['2023-11-14 22:13:20', '198.51.100.9', 'ssh', 'eth0']);
});

test('the daemon as a whole', () => {
  assert.deepStrictEqual(summary_of({}, 2), {
    lost: ['0', false],
    clock: ['in sync', false],
    config: ['/etc/knockd.conf, read at 2023-11-14 22:13:10', false],
    commands: ['1 running, 0 waiting', false],
    version: ['1.0.0, running for 1d 02:03:06', false],
  });
});

test('what is bad at the daemon', () => {
  const waiting = {name: 'ppp0', listening: false, waits_because: 'gone', addresses: []};
  const interfaces = [interface_with({lost: 2}), waiting, interface_with({name: 'eth1', lost: 3})];
  assert.deepStrictEqual(summary_of({interfaces}).lost, ['5', true]);
  assert.deepStrictEqual(summary_of({commands: {running: 32, waiting: 4}}).commands, ['32 running, 4 waiting', true]);
  assert.deepStrictEqual(summary_of({config: {file: '/k', read: 0, changed: true}}).config,
                         ['/k, changed since it was read at 1970-01-01 00:00:00', true]);
});

test('a clock that is not kept matters where codes are knocked', () => {
  assert.deepStrictEqual(summary_of({clock_is_kept: false, doors: [door_with()]}).clock, ['not in sync', false]);
  const some = [door_with(), door_with({users: ['alice']})];
  assert.deepStrictEqual(summary_of({clock_is_kept: false, doors: some}).clock,
                         ['not in sync: good codes may be refused', true]);
});

test('the filter', () => {
  const rows = [{door: 'ssh', user: 'Alice', address: '192.0.2.7', network: '192.0.2.0/24'},
    {door: 'VPN', user: '', address: '2001:db8::7'}];
  const found = typed => doors.matching(rows, typed).map(row => row.door);
  assert.deepStrictEqual(found(''), ['ssh', 'VPN']);
  assert.deepStrictEqual(found(' vpn '), ['VPN']);
  assert.deepStrictEqual(found('alice'), ['ssh']);
  assert.deepStrictEqual(found('DB8'), ['VPN']);
  assert.deepStrictEqual(found('0/24'), ['ssh']);
  assert.deepStrictEqual(found('.*'), []);
  assert.deepStrictEqual(doors.matching([{door: 7}], '7'), [{door: 7}]);
});

test('names stay as they are', () => {
  const name = '<img src=x onerror=alert(1)> %s $& ${x}';
  assert.strictEqual(opening_row({door: name}).door, name);
  assert.strictEqual(opening_row({network: '%s', address: '$&%s'}).who, '%s, by $&%s');
  const parts = {config: {file: name, read: 0, changed: false}};
  assert.strictEqual(summary_of(parts).config[0], `${name}, read at 1970-01-01 00:00:00`);
});

test('answers that are none', () => {
  for (const text of ['', 'null', '[]', '7', '{"doors":[]}', '{"doors":[],"openings":{}}', '{"status":1}', '{"doors":[']) {
    assert.throws(() => doors.read_status(text), {message: 'knockd gave an answer that cannot be read'}, text);
  }
  for (const parts of [{config: undefined}, {commands: null}, {doors: [null]}, {doors: [{users: 'a'}]}, {openings: [7, null]},
    {interfaces: {}}, {interfaces: [null]}, {attempts: 'none'}, {attempts: [null]}]) {
    const text = JSON.stringify(status_with(parts));
    assert.throws(() => doors.read_status(text), {message: 'knockd gave an answer that cannot be read'}, text);
  }
  const whole = status_with({doors: [door_with()], openings: [opening_with()], interfaces: [interface_with()]});
  assert.deepStrictEqual(doors.read_status(JSON.stringify(whole)), whole);
});

test('why there is no answer', () => {
  assert.strictEqual(doors.failure_text(3, 'knockd: knockd is not running, or not asked at /run/k'),
                     'knockd is not running');
  assert.strictEqual(doors.failure_text(1, 'knockd: nothing was open there\n'), 'nothing was open there');
  assert.strictEqual(doors.failure_text(127, 'sh: knockd: not found'), 'sh: knockd: not found');
  for (const silent of [undefined, null, ' \n']) {
    assert.strictEqual(doors.failure_text(1, silent), 'knockd could not be asked');
  }
});

test('words are translated where there is a translation', () => {
  globalThis._ = text => ({'%s of %s': '%s von %s', 'in the kernel': 'im Kernel'})[text] ?? text;
  try {
    assert.deepStrictEqual([interface_row().filter, interface_row().sources], ['im Kernel', '2 von 65536']);
  } finally {
    delete globalThis._;
  }
});

test('it is a module of LuCI between two lines', () => {
  const body = `'use strict'; 'require baseclass';\n${fs.readFileSync(FILE, 'utf8')}\n`
    + 'return baseclass.extend(knockd_doors);\n';
  const extended = new Function('baseclass', 'module', body)({extend: members => members});
  assert.deepStrictEqual(Object.keys(extended), Object.keys(doors));
});
