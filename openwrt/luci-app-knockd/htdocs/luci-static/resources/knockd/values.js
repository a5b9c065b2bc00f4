// SPDX-License-Identifier: MIT
// Checks the values of /etc/config/knockd by the rules of knockd's own parser, and draws random
// ones. Pure: text in, true or a message out. `knockd -t` decides in the end, because it also sees
// files and other options.
'use strict';
'require baseclass';

const LONGEST_TIME = 2147483;  // seconds
const UNITS = { s: 1, m: 60, h: 3600, d: 86400 };
const MOST_KNOCKS = 32;
const LETTERS_OF_BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const FLAGS = ['fin', 'syn', 'rst', 'psh', 'ack', 'urg'];

const has_control_byte = text => /[\x00-\x1f\x7f]/.test(text);  // eslint-disable-line no-control-regex

// Removes what knockd treats as blanks; trim() would remove more, such as the no-break space of a
// web page.
const bare = text => text.replace(/^[ \t]+|[ \t]+$/g, '');

function is_number(text, least, most) {
  return /^[0-9]+$/.test(text) && Number(text) >= least && Number(text) <= most;
}

const is_port = text => is_number(text, 1, 65535);

// "7421", "7421 : udp"
function is_knock(text) {
  const parts = bare(text).split(':').map(bare);
  return is_port(parts[0]) && (parts.length === 1 ||
                               parts.length === 2 && /^(tcp|udp)$/i.test(parts[1]));
}

// Does not check for nft's many keywords: `knockd -t` does.
const is_nft_name = text => /^[A-Za-z_][A-Za-z0-9_./-]*$/.test(text) && text.length <= 255;

function is_ipv4(text) {
  const parts = text.split('.');
  return parts.length === 4 && parts.every(part => /^(0|[1-9][0-9]*)$/.test(part) && Number(part) <= 255);
}

function is_ipv6(text) {
  const halves = text.split('::');
  if (halves.length > 2) return false;
  const groups = halves.flatMap(half => half === '' ? [] : half.split(':'));
  const last = groups.at(-1) ?? '';
  const has_ipv4 = last.includes('.');
  if (has_ipv4 && (!is_ipv4(last) || halves.at(-1) === '')) return false;
  const plain = has_ipv4 ? groups.slice(0, -1) : groups;
  const count = plain.length + (has_ipv4 ? 2 : 0);
  return plain.every(group => /^[0-9a-f]{1,4}$/i.test(group)) &&
         (halves.length === 2 ? count <= 7 : count === 8);
}

const is_address = text => is_ipv4(text) || is_ipv6(text);

// A place of a door with secrets: "totp", "400xx".
function is_code_place(text) {
  const hundred = /^([0-9]+)xx$/i.exec(bare(text));
  return /^totp$/i.test(bare(text)) || hundred !== null && is_number(hundred[1], 1, 654);
}

function is_list(text, is_item) {
  const items = text.split(',');
  return items.length <= MOST_KNOCKS && items.every(is_item);
}

function is_time(text, least) {
  const parts = /^([0-9]+)([smhd]?)$/.exec(text);
  if (!parts) return false;
  const seconds = Number(parts[1]) * UNITS[parts[2] || 's'];
  return seconds >= least && seconds <= LONGEST_TIME;
}

function are_flags(text) {
  const wanted = new Set(), excluded = new Set();
  for (const item of text.split(',').map(part => bare(part).toLowerCase())) {
    const is_excluded = item.startsWith('!');
    const flag = is_excluded ? bare(item.slice(1)) : item;
    if (!FLAGS.includes(flag)) return false;
    (is_excluded ? excluded : wanted).add(flag);
  }
  return [...wanted].every(flag => !excluded.has(flag));
}

function is_set(text) {
  const words = text.split(/[ \t]+/);
  return words.length === 3 && /^(inet|ip|ip6)$/.test(words[0]) && words.slice(1).every(is_nft_name);
}

function are_prefixes(text) {
  const words = text.split(/[ \t]+/);
  return words.length === 2 && is_number(words[0], 1, 32) && is_number(words[1], 1, 128);
}

// A network of OpenWrt, or a device.
const is_interface = text => text.length <= 15 && !/[/ \t]/.test(text) && !['', '.', '..'].includes(text);

// true or an error message. For the daemon a blank and # begin a comment, except in commands.
function check(text, is_right, expected) {
  return !has_control_byte(text) && !/[ \t]#/.test(text) && is_right(bare(text)) ||
         _('Expected %s').replace('%s', () => expected);
}

const checks = {
  address: text => check(text, is_address, _('an IPv4 or IPv6 address')),
  command: text => !has_control_byte(text) && bare(text) !== '' || _('Expected one line'),
  flags: text => check(text, are_flags, _('a list of flags like syn,!ack')),
  group: text => check(text, value => /^[^: ,#][^: ,]*$/.test(value), _('the name of a group')),
  interfaces: text => check(text, value => value.split(/[ ,]+/).every(is_interface),
                            _('networks or devices like wan, separated by blanks')),
  number: (least, most) => text => check(text, value => is_number(value, least, most),
                                         _('a number from %s to %s').replace('%s', least).replace('%s', most)),
  path: text => check(text, value => value.startsWith('/'), _('a whole path like /etc/knockd.secrets')),
  path_or_none: text => check(text, value => value.startsWith('/') || /^none$/i.test(value),
                              _('a whole path, or none')),
  ports: text => check(text, value => is_list(value, is_knock), _('a list of ports like 22,51820:udp')),
  prefixes: text => check(text, are_prefixes, _('prefix lengths for IPv4 and IPv6, like 24 64')),
  sequence: text => check(text, value => is_list(value, item => is_knock(item) || is_code_place(item)),
                          _('a list of ports like 7000,8000:udp,9000')),
  set: text => check(text, is_set, _('family, table and set of nftables, like inet fw4 knockd4')),
  table: text => check(text, value => is_nft_name(value) && !value.includes('/') && value.length <= 200,
                       _('the name of a table of nftables, like knockd')),
  time: text => check(text, value => is_time(value, 1), _('a time like 90, 90s, 10m, 1h or 2d')),
  time_or_none: text => check(text, value => is_time(value, 0), _('a time like 0, 90s, 10m, 1h or 2d')),
  // The name is in brackets in the daemon's file.
  door: text => check(text, value => value !== '' && !/[[\]]/.test(value) && !/^options$/i.test(value),
                      _('a name other than options, without brackets')),
  user: text => /^[A-Za-z0-9._-]{1,32}$/.test(text) ||
                _('Expected %s').replace('%s', _('1 to 32 letters, digits, dots, - and _')),
};

// A uniformly random number from 0 to below `end`.
function draw_below(end) {
  const most = 0x100000000 - 0x100000000 % end;
  const drawn = new Uint32Array(1);
  do crypto.getRandomValues(drawn); while (drawn[0] >= most);
  return drawn[0] % end;
}

// Five digits, to avoid the ports that scanners try first.
const draw_port = () => 10000 + draw_below(65536 - 10000);

// Like `knockd-firewall new-door`: two of the knocks are tcp, which knockd needs to distinguish a
// knock from a scan.
function draw_sequence() {
  const first = draw_port(), second = draw_port();
  let third = first;
  while (third === first) third = draw_port();
  return `${first},${second}:udp,${third}`;
}

// 160 bits in base32.
function draw_secret() {
  return Array.from({ length: 32 }, () => LETTERS_OF_BASE32[draw_below(32)]).join('');
}

// For an authenticator; keeps only those characters of the host's name that every reader of such
// addresses treats as part of a name.
function address_of_secret(host, user, secret) {
  const name = host.replace(/[^A-Za-z0-9.-]/g, '') || 'knockd';
  return `otpauth://totp/${name}:${user}?secret=${secret}&issuer=${name}&digits=8`;
}

return baseclass.extend({ checks, draw_sequence, draw_secret, address_of_secret });
