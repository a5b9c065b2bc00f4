// SPDX-License-Identifier: MIT
// Replaces rpcd with its ucode plugin: runs our plugin, which is written in the common subset of
// ucode and JavaScript. Reads lines [method, arguments], writes lines [code of ubus, answer].
// Usage: plugin.js PLUGIN PREFIX KNOCKD: paths of the router are below PREFIX; for /usr/sbin/knockd
// it runs KNOCKD.
'use strict';

const fs = require('fs');
const { execFile } = require('child_process');
const readline = require('readline');

const [plugin, prefix, knockd] = process.argv.slice(2);
const INVALID_ARGUMENT = 2;

// Functions of ucode; its strings are bytes.
const bytes = text => Buffer.from(text, 'utf8');
const ucode = {
  type: value => value === null || value === undefined ? null : Array.isArray(value) ? 'array'
    : { number: 'int', boolean: 'bool' }[typeof value] ?? typeof value,
  length: value => typeof value === 'string' ? bytes(value).length : value.length,
  ord: (text, at) => bytes(text)[at],
  match: (text, pattern) => text.match(new RegExp(pattern, 'm')),
  push: (list, value) => list.push(value),
  access: path => fs.existsSync(prefix + path) || null,
  connect: () => ({ defer }),
};

// Runs a command without a shell, like rpcd's file.exec: with limits for time and output. A killed
// command has status 0.
function defer(object, method, { command, params }, done) {
  if (object !== 'file' || method !== 'exec' || command !== '/usr/sbin/knockd') throw new Error(command);
  const words = params.map(word => word.startsWith('/var/run/') ? prefix + word : word);
  const limits = { maxBuffer: 1 << 18, timeout: Number(process.env.TIMEOUT_MILLISECONDS ?? 30000) };
  execFile(knockd, words, limits, (error, stdout, stderr) => {
    if (error?.code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') done(8, null);
    else if (typeof error?.code === 'string') done(4, null);
    else if (error?.killed) done(7, null);
    else done(0, { code: error?.code ?? 0, stdout, stderr });
  });
  return {};
}

const source = fs.readFileSync(plugin, 'utf8').replace(/^import .*$/gm, '');
const objects = new Function(...Object.keys(ucode), source)(...Object.values(ucode));
const methods = objects['luci.knockd'];

// Like rpcd: accepts only arguments that the method names, each of the type of its example.
function is_valid(method, values) {
  return Object.entries(values).every(([name, value]) => typeof value === typeof methods[method].args?.[name]);
}

readline.createInterface({ input: process.stdin }).on('line', line => {
  const [method, values] = JSON.parse(line);
  const reply = answer => console.log(JSON.stringify([0, answer]));
  if (!methods[method]) return console.log(JSON.stringify([3, null]));
  if (!is_valid(method, values)) return console.log(JSON.stringify([INVALID_ARGUMENT, null]));
  const done = methods[method].call({ args: values, reply });
  if (done && 'status' in done) reply(done);
});
