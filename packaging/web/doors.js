// SPDX-License-Identifier: MIT
// Turns `knockd --status=json` into rows and text for a page: open doors with their time left,
// doors, interfaces, losses, the clock, the last failed attempts. Pure: a status and an age in,
// text out, no document and no network. Nothing here is HTML, and an administrator or a stranger
// may choose any names: a page sets them as textContent.
//
// One file for Cockpit, LuCI and the tests, included unchanged. A page loads it by <script>, node by
// require(). A module of LuCI is a function's body that returns a class, so what builds LuCI's package
// copies this file between two lines:
//
//   'use strict'; 'require baseclass';
//   return baseclass.extend(knockd_doors);
//
// Where there is a function _() for translation (LuCI), words go through it.

const knockd_doors = (() => {
  const _ = text => typeof globalThis._ === 'function' ? globalThis._(text) : text;

  // fill("%s of %s", 1, 2). In one pass, so a name that contains %s stays unchanged.
  function fill(text, ...values) {
    return text.split('%s').map((part, at) => at === 0 ? part : String(values[at - 1]) + part).join('');
  }

  const two = number => String(number).padStart(2, '0');

  // "0:09", "12:34", "1:02:03", "3d 04:12:09"
  function duration_text(seconds) {
    const total = Math.max(0, Math.floor(seconds));
    const days = Math.floor(total / 86400), hours = Math.floor(total / 3600) % 24;
    const minutes = Math.floor(total / 60) % 60, rest = two(total % 60);
    if (days > 0) return fill('%sd %s:%s:%s', days, two(hours), two(minutes), rest);
    if (hours > 0) return fill('%s:%s:%s', hours, two(minutes), rest);
    return fill('%s:%s', minutes, rest);
  }

  // In the reader's time zone: "2026-01-31 09:05:07".
  function time_text(seconds) {
    const time = new Date(seconds * 1000);
    return fill('%s-%s-%s %s:%s:%s', time.getFullYear(), two(time.getMonth() + 1), two(time.getDate()),
                two(time.getHours()), two(time.getMinutes()), two(time.getSeconds()));
  }

  // Why there is no answer, from the exit status of the command and what it printed on standard
  // error.
  function failure_text(exit_status, message) {
    if (exit_status === 3) return _('knockd is not running');
    const line = String(message ?? '').trim();
    return (line.startsWith('knockd: ') ? line.slice('knockd: '.length) : line) ||
           _('knockd could not be asked');
  }

  // Open doors, the oldest first. `age` is the age of the status in seconds by a monotonic clock:
  // the time left does not depend on the reader's wall clock.
  function openings(status, age) {
    return status.openings.map(opening => {
      const left = opening.left - age;
      return {
        // The next daemon counts from 1 again: a button must close its own row's opening, or
        // nothing.
        key: `${opening.id} ${opening.address} ${opening.door}`,
        door: opening.door,
        address: opening.address,
        network: opening.network,
        who: opening.network === opening.address ? opening.address
          : fill(_('%s, by %s'), opening.network, opening.address),
        user: opening.user ?? '',
        interface: opening.interface
          || (opening.fleet ? fill(_('gateway %s'), opening.fleet) : _('by hand')),
        since: opening.since === null ? _('an earlier run') : time_text(opening.since),
        left: left > 0 ? duration_text(Math.ceil(left)) : _('closing'),
      };
    });
  }

  // The arguments of `knockd` that close an opening. With the option instead of the bare name,
  // because a door may be named like an address, `all` or an option.
  function close_arguments(row) {
    return ['--close', '--door=' + row.door, row.address];
  }

  function doors(status) {
    return status.doors.map(door => ({
      key: door.name,
      door: door.name,
      user: (door.users ?? []).join(', '),
      open: String(door.open),
      begun: String(door.begun),
      opened: String(door.opened),
      timed_out: String(door.timed_out),
      wrong: String(door.wrong),
      discarded: String(door.discarded),
      refused: String(door.refused),
      commands_failed: String(door.commands_failed),
    }));
  }

  function interfaces(status) {
    return (status.interfaces ?? []).map(one => ({
      key: one.name,
      interface: one.name,
      state: !one.listening ? one.waits_because
        : one.age >= 1 ? fill(_('listening, but silent for %s'), duration_text(one.age)) : _('listening'),
      is_bad: !one.listening || one.age >= 1 || one.lost > 0 || !one.filter_in_kernel,
      addresses: (one.addresses ?? []).join(', '),
      link_type: one.link_type ?? '',
      filter: !one.listening ? '' : one.filter_in_kernel ? _('in the kernel') : _('refused by the kernel'),
      packets: one.listening ? String(one.packets) : '',
      lost: one.listening ? String(one.lost) : '',
      sources: one.listening ? fill(_('%s of %s'), one.sources, status.max_sources) : '',
    }));
  }

  // The last attempts that opened nothing, the newest first.
  function attempts(status) {
    return (status.attempts ?? []).map((attempt, at) => ({
      key: String(at),
      time: time_text(attempt.time),
      address: attempt.address,
      door: attempt.door,
      interface: attempt.interface,
      stage: attempt.stage > 0 ? fill(_('after knock %s'), attempt.stage) : _('complete'),
      reason: attempt.text,
    })).reverse();
  }

  function packets_lost(status) {
    return (status.interfaces ?? []).reduce((sum, one) => sum + (one.lost ?? 0), 0);
  }

  // The state of the daemon as a whole.
  function summary(status, age) {
    const lost = packets_lost(status);
    const has_users = status.doors.some(door => (door.users ?? []).length > 0);
    return [
      {key: 'lost', label: _('Packets lost'), text: String(lost), is_bad: lost > 0},
      {
        key: 'clock',
        label: _('Clock'),
        text: status.clock_is_kept ? _('in sync')
          : has_users ? _('not in sync: good codes may be refused') : _('not in sync'),
        is_bad: !status.clock_is_kept && has_users,
      },
      {
        key: 'config',
        label: _('Configuration'),
        text: status.config.changed
          ? fill(_('%s, changed since it was read at %s'), status.config.file, time_text(status.config.read))
          : fill(_('%s, read at %s'), status.config.file, time_text(status.config.read)),
        is_bad: status.config.changed,
      },
      {
        key: 'commands',
        label: _('Commands'),
        text: fill(_('%s running, %s waiting'), status.commands.running, status.commands.waiting),
        is_bad: status.commands.waiting > 0,
      },
      {
        key: 'version',
        label: _('Version'),
        text: fill(_('%s, running for %s'), status.version, duration_text(status.uptime + age)),
        is_bad: false,
      },
    ];
  }

  // The status; throws an Error whose message is for the reader. An answer of another version that
  // cannot be shown is refused, so every returned status can be shown.
  function read_status(text) {
    try {
      const status = JSON.parse(text);
      openings(status, 0);
      summary(status, 0);
      for (const rows of [doors, interfaces, attempts]) rows(status);
      return status;
    } catch (_error) {
      throw new Error(_('knockd gave an answer that cannot be read'));
    }
  }

  // Rows whose door, user, address or network contains the typed text, ignoring case.
  function matching(rows, typed) {
    const wanted = typed.trim().toLowerCase();
    return rows.filter(row => [row.door, row.user, row.address, row.network].some(
      text => String(text ?? '').toLowerCase().includes(wanted)));
  }

  return {read_status, failure_text, openings, close_arguments, doors, interfaces, attempts, summary,
          matching, duration_text, time_text};
})();

if (typeof module === 'object') module.exports = knockd_doors;
