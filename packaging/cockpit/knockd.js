// SPDX-License-Identifier: MIT
// The page of Cockpit: asks knockd once a second while the page is visible, and shows the rows that
// doors.js makes of the answer. Everything that is not in index.html is set as text, never as HTML.
'use strict';

const POLL_MILLISECONDS = 1000;

const element = id => document.getElementById(id);
const page = {
  status: null,       // the last answer; null while there is none
  read_at: 0,         // of performance.now()
  is_asking: false,
  closing: new Set(), // keys of the openings whose Close runs
};

// With the privileges of the session: root's, or those of a member of Control_Group.
function ask(words) {
  return cockpit.spawn(['knockd', ...words], {superuser: 'try', err: 'message'});
}

// The error of a command that failed, or did not run.
function why(error) {
  if (error.problem === 'not-found') return 'knockd is not installed';
  return knockd_doors.failure_text(error.exit_status, error.message);
}

function say(id, text) {
  set_text(element(id), text);
  element(id).hidden = text === '';
}

// Writes only differences: the rest keeps a selection, and costs nothing.
function set_text(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// ---- Tables. The headers in index.html name the keys of the rows.

function columns_of(table) {
  return [...table.tHead.rows[0].cells];
}

function new_row(table, on_button) {
  const row = document.createElement('tr');
  for (const head of columns_of(table)) {
    const cell = row.insertCell();
    cell.className = head.className;
    cell.dataset.label = head.textContent;
    if (!head.dataset.button) continue;
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = head.dataset.button;
    button.addEventListener('click', () => on_button(row.item));
    cell.append(button);
  }
  return row;
}

function fill_row(table, row, item) {
  row.item = item;
  row.classList.toggle('bad', item.is_bad === true);
  columns_of(table).forEach((head, at) => {
    const cell = row.cells[at];
    if (head.dataset.key) {
      set_text(cell, item[head.dataset.key]);
      return;
    }
    cell.firstChild.disabled = page.closing.has(item.key);
    cell.firstChild.setAttribute('aria-label', `${head.dataset.button} ${item.door} ${item.address}`);
  });
}

// A row stays the same element while it is shown, so a click hits its target.
function show_table(id, items, shown, on_button) {
  const table = element(id), body = table.tBodies[0], section = table.closest('section');
  const known = new Map([...body.rows].map(row => [row.item.key, row]));
  const keys = new Set(shown.map(item => item.key));
  for (const [key, row] of known) if (!keys.has(key)) row.remove();
  let place = body.firstElementChild;
  for (const item of shown) {
    const row = known.get(item.key) ?? new_row(table, on_button);
    fill_row(table, row, item);
    if (row === place) place = place.nextElementSibling;
    else body.insertBefore(row, place);
  }
  const count = shown.length === items.length ? `${items.length}` : `${shown.length} of ${items.length}`;
  set_text(section.querySelector('.count'), count);
  section.querySelector('.none').hidden = items.length > 0;
  table.hidden = shown.length === 0;
}

function show_summary(items) {
  const list = element('summary');
  for (const item of items) {
    let value = list.querySelector(`[data-key=${item.key}]`);
    if (!value) {
      const label = document.createElement('dt');
      label.textContent = item.label;
      value = document.createElement('dd');
      value.dataset.key = item.key;
      const pair = document.createElement('div');
      pair.append(label, value);
      list.append(pair);
    }
    set_text(value, item.text);
    value.classList.toggle('bad', item.is_bad);
  }
}

// ---- What is shown

function show() {
  const is_doors = location.hash === '#/doors';
  element('overview').hidden = is_doors || !page.status;
  element('doors').hidden = !is_doors || !page.status;
  element('to-overview').ariaCurrent = is_doors ? null : 'page';
  element('to-doors').ariaCurrent = is_doors ? 'page' : null;
  if (!page.status) return;
  const age = (performance.now() - page.read_at) / 1000;
  const filtered = rows => knockd_doors.matching(rows, element('filter').value);
  if (is_doors) {
    const doors = knockd_doors.doors(page.status);
    show_table('all-doors', doors, filtered(doors));
    set_text(element('config-file'), page.status.config.file);
    return;
  }
  const openings = knockd_doors.openings(page.status, age);
  show_table('openings', openings, filtered(openings), close_opening);
  show_summary(knockd_doors.summary(page.status, age));
  const interfaces = knockd_doors.interfaces(page.status);
  show_table('interfaces', interfaces, interfaces);
  const attempts = knockd_doors.attempts(page.status);
  show_table('attempts', attempts, filtered(attempts));
}

async function refresh() {
  if (page.is_asking || cockpit.hidden) return;
  page.is_asking = true;
  try {
    const text = await ask(['--status=json']);
    page.status = knockd_doors.read_status(text);
    page.read_at = performance.now();
    say('trouble', '');
  } catch (error) {
    // The last state is no longer known.
    page.status = null;
    say('trouble', why(error));
  }
  page.is_asking = false;
  show();
}

async function close_opening(item) {
  page.closing.add(item.key);
  show();
  try {
    const text = await ask(knockd_doors.close_arguments(item));
    say('said', text.trim());
  } catch (error) {
    say('said', why(error));
  }
  page.closing.delete(item.key);
  await refresh();
  show();
}

// Like other pages of Cockpit: the shell's setting, else the browser's.
function choose_colors(choice) {
  const style = choice || localStorage.getItem('shell:style') || 'auto';
  const is_dark = style === 'auto' ? matchMedia('(prefers-color-scheme: dark)').matches : style === 'dark';
  document.documentElement.classList.toggle('dark', is_dark);
}

choose_colors();
window.addEventListener('storage', event => event.key === 'shell:style' && choose_colors());
window.addEventListener('cockpit-style', event => choose_colors(event.detail?.style));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => choose_colors());
window.addEventListener('hashchange', show);
element('filter').addEventListener('input', show);
cockpit.addEventListener('visibilitychange', refresh);
// Refreshes even while an answer is late, to count down.
setInterval(() => { show(); refresh(); }, POLL_MILLISECONDS);
refresh();
