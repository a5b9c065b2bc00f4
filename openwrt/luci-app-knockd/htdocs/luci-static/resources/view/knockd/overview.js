// SPDX-License-Identifier: MIT
// Shows the open doors with their time left, and the state of knockd: asks every two seconds,
// counts down in between. An administrator or a stranger may choose any names and values, so text
// is passed to LuCI in lists: LuCI renders a list as text, but a bare string as HTML.
'use strict';
'require view';
'require poll';
'require rpc';
'require ui';
'require knockd.doors as doors';
'require knockd.values as values';

const POLL_SECONDS = 2;

const call_status = rpc.declare({ object: 'luci.knockd', method: 'status', reject: true });
const call_close = rpc.declare({
  object: 'luci.knockd', method: 'close', params: ['door', 'address'], reject: true,
});
const call_open = rpc.declare({
  object: 'luci.knockd', method: 'open', params: ['door', 'address', 'time'], reject: true,
});

// {status, text, message}, even when LuCI itself could not ask.
const answer = call => call.catch(error => ({ status: null, text: '', message: error.message }));

function set_text(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// A table with a row for each item. A row stays the same element while its item exists, so a click
// hits its target. `columns` are [key of the item, title]; make_button(item) may end a row.
function make_table(id, columns, placeholder, make_button) {
  const rows = new Map();
  const titles = [...columns.map(([, title]) => title), ...(make_button ? [''] : [])];
  const none = E('tr', { 'class': 'tr placeholder' }, [E('td', { 'class': 'td' }, [E('em', [placeholder])])]);
  const table = E('table', { 'class': 'table cbi-section-table', 'id': id }, [
    E('tr', { 'class': 'tr table-titles' }, titles.map(title => E('th', { 'class': 'th' }, [title]))),
  ]);

  function make_row(item) {
    const row = E('tr', { 'class': 'tr' },
                  columns.map(([, title]) => E('td', { 'class': 'td left', 'data-title': title })));
    if (make_button) row.append(E('td', { 'class': 'td cbi-section-actions' }, [make_button(item)]));
    rows.set(item.key, row);
    return row;
  }

  function show(items) {
    const keys = new Set(items.map(item => item.key));
    for (const [key, row] of rows) {
      if (keys.has(key)) continue;
      row.remove();
      rows.delete(key);
    }
    let before = table.rows[0];
    for (const item of items) {
      const row = rows.get(item.key) ?? make_row(item);
      columns.forEach(([key], at) => set_text(row.cells[at], item[key]));
      row.classList.toggle('knockd-bad', item.is_bad === true);
      if (before.nextElementSibling !== row) before.after(row);
      before = row;
    }
    if (items.length === 0) table.append(none); else none.remove();
  }

  return { table, show };
}

function section(title, ...nodes) {
  return E('div', { 'class': 'cbi-section' }, [E('h3', [title]), ...nodes]);
}

function say(text) {
  ui.addNotification(null, E('p', [text]));
}

return view.extend({
  handleSave: null,
  handleSaveApply: null,
  handleReset: null,

  load() {
    return answer(call_status());
  },

  render(first_answer) {
    const is_readonly = !L.hasViewPermission();
    let status = null, read_at = 0;

    const trouble = E('div', { 'class': 'alert-message warning', 'id': 'knockd-trouble', 'role': 'alert' });
    const summary = E('table', { 'class': 'table', 'id': 'knockd-summary' });
    const openings = make_table('knockd-openings', [
      ['door', _('Door')], ['address', _('Address')], ['user', _('User')], ['since', _('Since')],
      ['left', _('Time left')], ['interface', _('Interface')],
    ], _('Nobody is in.'), make_close_button);
    const all_doors = make_table('knockd-doors', [
      ['door', _('Door')], ['open', _('Open')], ['begun', _('Begun')], ['opened', _('Opened')],
      ['timed_out', _('Too slow')], ['wrong', _('Wrong')], ['discarded', _('Scans')],
      ['refused', _('Refused')], ['commands_failed', _('Commands failed')],
    ], _('There are no doors.'));
    const interfaces = make_table('knockd-interfaces', [
      ['interface', _('Interface')], ['state', _('State')], ['addresses', _('Addresses')],
      ['filter', _('Filter')], ['packets', _('Packets')], ['lost', _('Lost')], ['sources', _('Sources')],
    ], _('There are no interfaces.'));
    const attempts = make_table('knockd-attempts', [
      ['time', _('Time')], ['address', _('Address')], ['door', _('Door')], ['stage', _('Stage')],
      ['reason', _('Reason')],
    ], _('There are none.'));

    const door = E('select', { 'id': 'knockd-open-door', 'class': 'cbi-input-select',
                               'aria-label': _('Door') });
    const address = E('input', { 'id': 'knockd-open-address', 'class': 'cbi-input-text', 'type': 'text',
                                 'placeholder': '192.0.2.7', 'aria-label': _('Address') });
    const time = E('input', { 'id': 'knockd-open-time', 'class': 'cbi-input-text', 'type': 'text',
                              'placeholder': _('as after a knock'), 'aria-label': _('Time') });

    const content = E('div', { 'id': 'knockd-content' }, [
      section(_('Who is in'), openings.table),
      section(_('Daemon'), summary),
      section(_('Let somebody in'), E('div', { 'class': 'cbi-section-node', 'style': 'margin-bottom: 1.5em' }, [
        door, ' ', address, ' ', time, ' ',
        E('button', { 'id': 'knockd-open', 'class': 'cbi-button cbi-button-action',
                      'disabled': is_readonly || null,
                      'click': ui.createHandlerFn(this, open) }, [_('Open')]),
      ])),
      section(_('Interfaces'), interfaces.table),
      section(_('Doors'), all_doors.table),
      section(_('Attempts that opened nothing'), attempts.table),
    ]);

    // Door and address of a row never change.
    function make_close_button({ door, address }) {
      return E('button', {
        'class': 'cbi-button cbi-button-remove', 'disabled': is_readonly || null,
        'aria-label': `${_('Close')} ${door} ${address}`,
        'click': ui.createHandlerFn(this, () => act(call_close(door, address))),
      }, [_('Close')]);
    }

    function open() {
      for (const [input, check] of [[address, values.checks.address], [time, values.checks.time]]) {
        const verdict = input === time && input.value === '' || check(input.value.trim());
        input.classList.toggle('cbi-input-invalid', verdict !== true);
        if (verdict !== true) return say(verdict);
      }
      return act(call_open(door.value, address.value.trim(), time.value.trim()));
    }

    async function act(call) {
      const done = await answer(call);
      say(done.status === 0 ? done.text.trim() : doors.failure_text(done.status, done.message));
      return refresh();
    }

    let summary_shown = '';
    function show_summary(items) {
      if (summary_shown === JSON.stringify(items)) return;
      summary_shown = JSON.stringify(items);
      const rows = items.map(item => E('tr', { 'class': 'tr', 'data-key': item.key }, [
        E('td', { 'class': 'td left', 'width': '33%' }, [item.label]),
        E('td', { 'class': 'td left' }, [item.is_bad ? E('strong', { 'class': 'knockd-bad' }, [item.text])
                                                     : item.text]),
      ]));
      summary.replaceChildren(...rows);
    }

    function show_choices(names) {
      const shown = Array.from(door.options, option => option.value);
      if (JSON.stringify(shown) === JSON.stringify(names)) return;
      const chosen = door.value;
      door.replaceChildren(...names.map(name => E('option', { 'value': name }, [name])));
      if (names.includes(chosen)) door.value = chosen;
    }

    function show() {
      trouble.hidden = status !== null;
      content.hidden = status === null;
      if (status === null) return;
      const age = (performance.now() - read_at) / 1000;
      openings.show(doors.openings(status, age));
      show_summary(doors.summary(status, age));
      interfaces.show(doors.interfaces(status));
      all_doors.show(doors.doors(status));
      attempts.show(doors.attempts(status));
      show_choices(status.doors.map(one => one.name));
    }

    function take(reply) {
      status = null;  // the last state is no longer known
      read_at = performance.now();
      try {
        if (reply.status === 0) status = doors.read_status(reply.text);
        else trouble.textContent = doors.failure_text(reply.status, reply.message);
      } catch (error) {
        trouble.textContent = error.message;
      }
      show();
    }

    // After Close and Open it asks at once, so answers may overtake each other.
    let asked = 0, shown = 0;
    async function refresh() {
      const number = ++asked;
      const reply = await answer(call_status());
      if (number < shown) return;
      shown = number;
      take(reply);
    }

    take(first_answer);
    poll.add(refresh, POLL_SECONDS);
    window.setInterval(show, 1000);
    return E([], [
      E('style', ['.knockd-bad { color: #c00; font-weight: bold; }']),
      E('h2', [_('Port knocking')]),
      trouble,
      content,
    ]);
  },
});
