// SPDX-License-Identifier: MIT
// A form for /etc/config/knockd: each directive of knockd.conf(5), checked while typing, and the
// result of `knockd -t` for the configuration that the service wrote.
'use strict';
'require view';
'require form';
'require fs';
'require poll';
'require rpc';
'require uci';
'require ui';
'require uqr';
'require knockd.doors as doors';
'require knockd.values as values';

const POLL_SECONDS = 5;
const SECRETS = '/etc/knockd.secrets';
const { checks } = values;

const call_check = rpc.declare({ object: 'luci.knockd', method: 'check', reject: true });
const call_status = rpc.declare({ object: 'luci.knockd', method: 'status', reject: true });
// LuCI's fs.write() cannot append, and this file must not be readable.
const call_append = rpc.declare({
  object: 'file', method: 'write', params: ['path', 'data', 'append', 'mode'], reject: true,
});

function complain(text) {
  ui.addNotification(null, E('p', [text]));
}

// ---- Options. A directive may have another name; the name used in the file is kept.

// The names of an option, the first for a new one.
const ALIASES = {
  'cmd_timeout': ['open_for', 'cmd_timeout'],
  'seq_timeout': ['seq_timeout', 'timeout'],
  'seq_cooldown': ['seq_cooldown', 'cooldown'],
  'start_command': ['start_command', 'command'],
  'start_command_6': ['start_command_6', 'command_6'],
  'stop_command_6': ['stop_command_6', 'stop_command6'],
};

const names_of = option => ALIASES[option] ?? [option];
const name_in_use = (sid, option) =>
  names_of(option).find(name => uci.get('knockd', sid, name) != null) ?? names_of(option)[0];

// Adds an option to a section. `check` returns true or an error message for a value.
function add(section, tab, widget, option, title, description, check) {
  const o = section.taboption(tab, widget, option, title, description);
  return Object.assign(o, {
    load(sid) {
      const value = uci.get('knockd', sid, name_in_use(sid, option));
      return Array.isArray(value) ? value.join(',') : value;  // some may be written as a list
    },
    write: (sid, value) => uci.set('knockd', sid, name_in_use(sid, option), value),
    remove: sid => names_of(option).forEach(name => uci.unset('knockd', sid, name)),
    validate: (_sid, value) => value === '' || !check || check(value),
  });
}

function add_choice(section, tab, option, title, description, choices) {
  const o = add(section, tab, form.ListValue, option, title, description);
  o.optional = true;
  o.value('', _('default'));
  for (const choice of choices) o.value(choice, choice);
  return o;
}

// LuCI would replace the old section by the new one, and fails at JavaScript's own names.
const is_taken = name => name in {} || uci.sections('knockd').some(section => section['.name'] === name);

// By default a door has the name of its section.
function name_verdict(name) {
  return is_taken(name) ? _('There is a section of this name.') : checks.door(name);
}

// A field with a button that draws a random value.
const DrawnSequence = form.Value.extend({
  renderWidget(sid, ...others) {
    const field = this.super('renderWidget', [sid, ...others]);
    const draw = () => {
      this.getUIElement(sid).setValue(values.draw_sequence());
      this.triggerValidation(sid);
      const flags = this.section.getUIElement(sid, 'tcpflags');
      if (flags.getValue() === '') flags.setValue('syn');
    };
    return E('div', [
      field, ' ',
      E('button', { 'class': 'cbi-button knockd-draw-sequence', 'disabled': this.map.readonly || null,
                    'click': ui.createHandlerFn(this, draw) }, [_('Draw a sequence')]),
    ]);
  },
});

function add_doors(map) {
  const s = map.section(form.GridSection, 'rule', _('Doors'));
  s.addremove = true;
  s.sortable = true;
  s.nodescriptions = true;
  s.addbtntitle = _('Add a door');
  s.sectiontitle = sid => uci.get('knockd', sid, 'name') ?? sid;
  s.modaltitle = sid => '%s %h'.format(_('Door'), s.sectiontitle(sid));  // LuCI treats it as HTML
  const add_section = s.handleAdd;
  s.handleAdd = function(event, name) {
    const verdict = name_verdict(name);
    return verdict === true ? add_section.call(this, event, name) : complain(verdict);
  };
  s.tab('knock', _('Knock'));
  s.tab('opening', _('Opening'));
  s.tab('commands', _('Commands'));
  s.tab('more', _('More'));

  let o = add(s, 'knock', form.Flag, 'enabled', _('Enabled'));
  o.default = o.enabled;
  o.editable = true;
  // Accepts all words for on and off.
  o.load = sid => /^(0|off|false|no|disabled)$/.test(uci.get('knockd', sid, 'enabled') ?? '1') ? '0' : '1';

  o = add(s, 'knock', form.Value, 'name', _('Name'),
          _('Only if it is not the name of the section.'), checks.door);
  o.modalonly = true;

  o = add(s, 'knock', DrawnSequence, 'sequence', _('Sequence'),
          _('Ports to knock at, in this order; <code>totp</code> for a port that changes with time.'),
          checks.sequence);
  o.placeholder = '7421,3096:udp,5518';
  o.validate = function(sid, value) {
    const has_other = Boolean(this.section.formvalue(sid, 'one_time_sequences'));
    return value === '' && has_other || checks.sequence(value);
  };

  add(s, 'knock', form.Value, 'tcpflags', _('TCP flags'),
      _('Nearly every door needs <code>syn</code>.'), checks.flags).placeholder = _('any');

  o = add(s, 'knock', form.Value, 'secrets', _('File of secrets'),
          _('For sequences with <code>totp</code>: a line with name and secret for each user.'), checks.path);
  o.placeholder = SECRETS;
  o.modalonly = true;

  o = add(s, 'knock', form.Value, 'one_time_sequences', _('File of one-time sequences'),
          _('Instead of a sequence.'), checks.path);
  o.modalonly = true;

  o = add(s, 'knock', form.Value, 'seq_timeout', _('Time for the sequence'), null, checks.time);
  o.placeholder = '25';
  o.modalonly = true;

  o = add(s, 'knock', form.Value, 'target', _('Target'),
          _('An address behind the router that is knocked at instead of it.'), checks.address);
  o.modalonly = true;

  o = add(s, 'opening', form.Value, 'open', _('Ports to open'),
          _('For the knocker alone, without a command.'), checks.ports);
  o.placeholder = '22';

  o = add(s, 'opening', form.Value, 'cmd_timeout', _('Open for'),
          _('The time until the ports close, or the stop command runs.'), checks.time_or_none);
  o.placeholder = '10';

  o = add_choice(s, 'opening', 'reknock', _('Knock while open'),
                 _('Whether it runs the command again, extends the time, or does nothing.'),
                 ['run', 'extend', 'ignore']);
  o.modalonly = true;

  o = add_choice(s, 'opening', 'keep_established', _('Keep connections'),
                 _('Whether connections go on when the time is over. Not with sets.'), ['yes', 'no']);
  o.modalonly = true;

  for (const [option, title, example] of [['open_set', _('Set for IPv4'), 'inet fw4 knockd4'],
                                          ['open_set_6', _('Set for IPv6'), 'inet fw4 knockd6']]) {
    o = add(s, 'opening', form.Value, option, title,
            _('Of your own ruleset; usually the one of the settings below.'), checks.set);
    o.placeholder = example;
    o.modalonly = true;
  }

  o = add(s, 'opening', form.Value, 'open_prefix', _('Prefix lengths'),
          _('Lets in the network of the knocker instead of the address alone. Not with sets.'),
          checks.prefixes);
  o.placeholder = '32 128';
  o.modalonly = true;

  for (const [option, title] of [
    ['start_command', _('Start command')], ['stop_command', _('Stop command')],
    ['start_command_6', _('Start command for IPv6')], ['stop_command_6', _('Stop command for IPv6')],
  ]) {
    o = add(s, 'commands', form.Value, option, title,
            option.endsWith('_6') ? _('If it differs; <code>true</code> runs nothing.')
                                  : _('<code>%IP%</code> becomes the address of the knocker.'),
            checks.command);
    o.modalonly = true;
  }

  o = add(s, 'more', form.Value, 'max_open', _('Most openings'), null, checks.number(1, 1000000));
  o.placeholder = '4096';
  o.modalonly = true;

  o = add(s, 'more', form.Value, 'seq_cooldown', _('Pause'),
          _('Time after an opening during which knocks are ignored.'), checks.time_or_none);
  o.placeholder = '0';
  o.modalonly = true;
}

function add_settings(map) {
  const s = map.section(form.TypedSection, 'options', _('Settings'));
  s.anonymous = true;
  s.tab('general', _('General'));
  s.tab('more', _('More'));

  const o = add(s, 'general', form.Flag, 'enabled', _('Enabled'));
  o.default = o.enabled;
  o.load = sid => /^(0|off|false|no|disabled)$/.test(uci.get('knockd', sid, 'enabled') ?? '1') ? '0' : '1';
  add(s, 'general', form.Value, 'interface', _('Interfaces'),
      _('Networks such as <code>wan</code>, or devices such as <code>eth1</code>, separated by blanks.'),
      checks.interfaces).placeholder = 'wan';
  add_choice(s, 'general', 'shutdown', _('When it stops'), _('Whether open doors are closed.'),
             ['close', 'keep']);

  for (const [option, title, placeholder, check] of [
    ['scan_limit', _('Scan limit'), '4', checks.number(0, 64)],
    ['max_sources', _('Most sources'), '65536', checks.number(16, 4194304)],
    ['log_rate', _('Log lines a second'), '20', checks.number(0, 1000000)],
    ['logfile', _('Log file'), _('none'), checks.path],
    ['statefile', _('State file'), '/var/lib/knockd/open-doors', checks.path_or_none],
    ['control', _('Control socket'), '/var/run/knockd/control', checks.path_or_none],
    ['control_group', _('Group that may ask'), _('none'), checks.group],
    ['open_set', _('Set for IPv4'), 'inet fw4 knockd4', checks.set],
    ['open_set_6', _('Set for IPv6'), 'inet fw4 knockd6', checks.set],
    ['table', _('Own table'), 'knockd', checks.table],
    ['on_start', _('Command at the start'), _('none'), checks.command],
    ['on_stop', _('Command at the end'), _('none'), checks.command],
    ['include', _('More files'), '/etc/knockd.d/*.conf', checks.path],
  ]) {
    add(s, 'more', form.Value, option, title, null, check).placeholder = placeholder;
  }
}

// ---- What knockd -t says.

function make_check() {
  const verdict = E('p', { 'id': 'knockd-verdict' });
  const lines = E('pre', { 'id': 'knockd-check' });
  const node = E('div', { 'class': 'cbi-section' }, [
    E('h3', [_('What knockd says')]),
    E('div', { 'class': 'cbi-section-descr' },
      [_('Of what is saved and applied, by knockd -t. Warnings do not keep it from starting.')]),
    E('div', { 'class': 'cbi-section-node' }, [verdict, lines]),
  ]);

  async function refresh() {
    const reply = await call_check().catch(error => ({ status: null, text: '', message: error.message }));
    const is_right = reply.status === 0;
    verdict.textContent = is_right ? _('The configuration is accepted.')
      : reply.status === null ? _('The configuration could not be checked.')
        : _('The configuration is refused. What ran before goes on.');
    verdict.className = is_right ? '' : 'alert-message error';
    lines.textContent = [reply.text, reply.message].map(text => text.trim()).filter(text => text).join('\n');
  }

  return { node, refresh };
}

// ---- A user's secret.

function make_secret() {
  const user = E('input', { 'id': 'knockd-user', 'class': 'cbi-input-text', 'type': 'text',
                            'placeholder': 'alice', 'aria-label': _('User') });
  const drawn = E('div', { 'id': 'knockd-secret' });
  const is_readonly = !L.hasViewPermission();

  // The status; nothing if knockd does not run.
  async function status() {
    const reply = await call_status().catch(() => ({ status: null }));
    return reply.status === 0 ? doors.read_status(reply.text) : null;
  }

  // A duplicate name would make the whole file invalid.
  async function is_known(name) {
    return (await status())?.doors.some(door => (door.users ?? []).includes(name));
  }

  async function draw() {
    const name = user.value.trim(), verdict = checks.user(name);
    if (verdict !== true) return complain(verdict);
    if (await is_known(name)) return complain(_('There is a user of this name.'));
    show(name, values.draw_secret());
  }

  function show(name, secret) {
    const host = uci.get('system', '@system[0]', 'hostname') ?? location.hostname;
    const address = values.address_of_secret(host, name, secret);
    const picture = 'data:image/svg+xml,' + encodeURIComponent(uqr.renderSVG(address, { pixelSize: 4, border: 4 }));
    const line = `${name} ${secret}`;
    drawn.replaceChildren(
      E('p', [_('Whoever has this secret can knock. It is shown only now.')]),
      E('img', { 'id': 'knockd-qr', 'src': picture, 'alt': _('QR code for an authenticator') }),
      E('p', [_('For an authenticator:'), ' ', E('code', { 'id': 'knockd-address' }, [address])]),
      E('p', [_('For a client, a file with this line:'), ' ', E('code', { 'id': 'knockd-line' }, [line])]),
      E('button', { 'id': 'knockd-add-user', 'class': 'cbi-button cbi-button-add',
                    'click': ui.createHandlerFn(this, () => keep(line)) },
        [_('Add to %s').replace('%s', SECRETS)]),
    );
  }

  // The last line may lack a newline.
  async function keep(line) {
    try {
      await call_append(SECRETS, `\n${line}\n`, true, 0o600);
      const added = E('p', { 'id': 'knockd-added' }, [_('It is in the file.')]);
      document.getElementById('knockd-add-user').replaceWith(added);
      // A reload would start a stopped knockd.
      if (await status() === null) return;
      const done = await fs.exec('/etc/init.d/knockd', ['reload']);
      if (done.code !== 0) throw new Error(done.stderr || _('knockd could not be reloaded'));
      added.textContent = _('It is in the file, and knockd reads it anew.');
    } catch (error) {
      complain(error.message);
    }
  }

  return E('div', { 'class': 'cbi-section' }, [
    E('h3', [_('Secret of a user')]),
    E('div', { 'class': 'cbi-section-descr' },
      [_('For doors whose sequence changes with time: totp,totp,totp,totp with the file %s.')
        .replace('%s', SECRETS)]),
    E('div', { 'class': 'cbi-section-node', 'style': 'margin-bottom: 1.5em' }, [
      user, ' ',
      E('button', { 'id': 'knockd-draw-secret', 'class': 'cbi-button', 'disabled': is_readonly || null,
                    'click': ui.createHandlerFn(this, draw) }, [_('Draw a secret')]),
      drawn,
    ]),
  ]);
}

return view.extend({
  load() {
    return Promise.all([uci.load('knockd'), L.resolveDefault(uci.load('system'))]);
  },

  async render() {
    // Older files may not contain it.
    if (uci.sections('knockd', 'options').length === 0) {
      uci.add('knockd', 'options', is_taken('common') ? null : 'common');
    }
    const map = new form.Map('knockd', _('Port knocking'),
                             _('Without a door here, knockd reads /etc/knockd.conf.'));
    add_doors(map);
    add_settings(map);
    const check = make_check();
    const rendered = await map.render();
    await check.refresh();
    poll.add(check.refresh, POLL_SECONDS);
    return E([], [rendered, make_secret(), check.node]);
  },
});
