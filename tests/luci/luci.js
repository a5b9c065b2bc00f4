// SPDX-License-Identifier: MIT
// Replaces LuCI's runtime in a browser, as far as our pages use it, and is as strict or careless as
// the original: a bare string given to E() is HTML, options of a form go through load, validate,
// parse and write. `?view=knockd/overview` names the page. What it asks of ubus goes to the test's
// server, /ubus.
'use strict';

String.prototype.format = function(...values) {
  const escaped = text => String(text).replace(/[&<>"']/g, letter => `&#${letter.charCodeAt(0)};`);
  return this.replace(/%[sdh]/g, word => word === '%h' ? escaped(values.shift()) : String(values.shift()));
};

window._ = text => text;

// ---- Elements.

function append(node, children) {
  if (Array.isArray(children)) {
    node.append(...children.map(child => child instanceof Node ? child : String(child)));
  } else if (children instanceof Node) {
    node.append(children);
  } else if (children !== null && children !== undefined) {
    node.innerHTML = String(children);
  }
  return node;
}

window.E = (tag, attributes, children) => {
  if (Array.isArray(tag)) return append(append(document.createDocumentFragment(), tag), attributes);
  if (attributes === null || typeof attributes !== 'object' || Array.isArray(attributes) ||
      attributes instanceof Node) {
    [attributes, children] = [{}, attributes];
  }
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined) continue;
    if (typeof value === 'function') node.addEventListener(name, value);
    else node.setAttribute(name, value);
  }
  return append(node, children);
};

// ---- Classes: extend() makes one; super('method', [arguments]) calls the one that it replaced.

class Base {}
Base.extend = function(members) {
  const parent = this.prototype;
  class Extended extends this {}
  Object.assign(Extended.prototype, members);
  Extended.prototype.super = function(name, values) { return parent[name].apply(this, values); };
  return Extended;
};

// ---- What asks.

class RPCError extends Error {}

async function ask(object, method, values) {
  const reply = await fetch('/ubus', { method: 'POST', body: JSON.stringify([object, method, values]) });
  const [code, answer] = await reply.json();
  if (code !== 0) throw new RPCError(`RPC call to ${object}/${method} failed with ubus code ${code}`);
  return answer;
}

const rpc = {
  declare: ({ object, method, params = [], reject }) => async (...values) => {
    const named = Object.fromEntries(params.map((name, at) => [name, values[at]]));
    if (!reject) throw new TypeError('without "reject" a refusal looks like an answer');
    return ask(object, method, named);
  },
};

const fs = { exec: (command, params) => ask('file', 'exec', { command, params }) };

// Four times as often as the original, because tests wait for the next answer.
const poll = {
  add(run, seconds) {
    window.setInterval(run, seconds * 250);
  },
};

const uqr = {
  renderSVG: text => `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><desc>${text}</desc></svg>`,
};

// ---- The configuration: {config: [{'.name', '.type', option: value}]}.

const loaded = {};
const uci = {
  async load(config) {
    loaded[config] ??= (await ask('uci', 'get', { config })).sections;
  },
  section: (config, sid) => (loaded[config] ?? []).find(one => one['.name'] === sid),
  sections: (config, type) => (loaded[config] ?? []).filter(one => (type ?? one['.type']) === one['.type']),
  get: (config, sid, option) => {
    const sections = /^@(.*)\[0\]$/.exec(sid);
    const section = sections ? uci.sections(config, sections[1])[0] : uci.section(config, sid);
    return section?.[option] ?? null;
  },
  set(config, sid, option, value) {
    uci.section(config, sid)[option] = value;
  },
  unset(config, sid, option) {
    delete uci.section(config, sid)[option];
  },
  // Replaces a section of this name.
  add(config, type, name) {
    const added = { '.type': type, '.name': name ?? `new${loaded[config].length}` };
    uci.remove(config, added['.name']);
    loaded[config].push(added);
    return added['.name'];
  },
  remove(config, sid) {
    loaded[config] = loaded[config].filter(one => one['.name'] !== sid);
  },
  save: config => ask('uci', 'set', { config, sections: loaded[config] }),
};

// ---- What a page is made of.

const ui = {
  createHandlerFn: (context, run, ...values) => async event => {
    const button = event.currentTarget;
    button.disabled = true;
    try {
      await run.call(context, ...values, event);
    } finally {
      button.disabled = false;
    }
  },
  addNotification(title, children) {
    const message = E('div', { 'class': 'alert-message' }, children);
    document.getElementById('maincontent').prepend(message);
    return message;
  },
  showModal(title, children) {
    ui.hideModal();
    document.body.append(append(E('div', { 'class': 'modal' }, [E('h4', {}, title)]), children));
  },
  hideModal() {
    document.querySelector('.modal')?.remove();
  },
};

const view = Base.extend({
  load() {},
  render() {},

  async start() {
    const place = document.getElementById('view');
    place.append(await this.render(await this.load()));
    if (this.handleSaveApply === null) return;
    place.append(E('div', { 'class': 'cbi-page-actions' }, [
      E('button', { 'class': 'cbi-button-apply', 'click': ui.createHandlerFn(this, async () => {
        await document.querySelector('.cbi-map').map.save();
        await ask('uci', 'apply', {});
        location.reload();
      }) }, ['Save & Apply']),
    ]));
  },
});

// ---- Forms.

const Value = Base.extend({
  // Like LuCI's ui.Textfield and the others.
  getUIElement(sid) {
    return this.map.node.querySelector(`[id="cbid.knockd.${sid}.${this.option}"]`)?.element;
  },
  load(sid) { return uci.get('knockd', sid, this.option); },
  write(sid, value) { uci.set('knockd', sid, this.option, value); },
  remove(sid) { uci.unset('knockd', sid, this.option); },
  validate() { return true; },
  cfgvalue(sid) { return this.data[sid]; },
  textvalue(sid) { return '%h'.format(this.cfgvalue(sid) ?? this.default ?? ''); },
  formvalue(sid) { return this.getUIElement(sid)?.getValue() ?? null; },
  triggerValidation(sid) { this.getUIElement(sid).triggerValidation(); },

  make_input(value) {
    return E('input', { 'type': 'text', 'value': value, 'placeholder': this.placeholder });
  },

  renderWidget(sid) {
    const input = this.make_input(this.cfgvalue(sid) ?? this.default ?? '');
    const node = E('div', { 'id': `cbid.knockd.${sid}.${this.option}` }, [input]);
    const element = {
      getValue: () => input.value,
      setValue: value => { input.value = value; },
      triggerValidation: () => {
        const verdict = this.validate(sid, element.getValue());
        input.classList.toggle('cbi-input-invalid', verdict !== true);
        input.dataset.tooltip = verdict === true ? '' : verdict;
        return verdict === true;
      },
    };
    input.addEventListener('input', element.triggerValidation);
    node.element = element;
    return node;
  },

  render(sid) {
    return E('div', { 'class': 'cbi-value', 'data-name': this.option }, [
      E('label', {}, this.title), this.renderWidget(sid), E('div', {}, this.description),
    ]);
  },

  parse(sid) {
    const element = this.getUIElement(sid), value = this.formvalue(sid);
    if (!element.triggerValidation()) throw new TypeError(`Option "${this.title}": ${value}`);
    if (value === '' || value === null) this.remove(sid);
    else if (value !== this.cfgvalue(sid)) this.write(sid, value);
  },
});

const ListValue = Value.extend({
  value(key, label) {
    this.choices = [...(this.choices ?? []), [key, label]];
  },
  make_input(value) {
    const select = E('select', {}, this.choices.map(([key, label]) => E('option', { 'value': key }, [label])));
    select.value = value;
    return select;
  },
});

const Flag = Value.extend({
  enabled: '1',
  disabled: '0',
  make_input(value) {
    const box = E('input', { 'type': 'checkbox' });
    box.checked = value === this.enabled;
    return box;
  },
  formvalue(sid) {
    const box = this.getUIElement(sid) && this.map.node.querySelector(
      `[id="cbid.knockd.${sid}.${this.option}"] input`);
    return box?.checked ? this.enabled : this.disabled;
  },
  parse(sid) {
    const value = this.formvalue(sid);
    if (value === (this.default ?? this.disabled)) this.remove(sid);
    else this.write(sid, value);
  },
});

class Section {
  constructor(map, type, title) {
    Object.assign(this, { map, type, title, children: [] });
  }
  tab() {}
  sids() { return uci.sections('knockd', this.type).map(section => section['.name']); }
  taboption(tab, Option, option, title, description) {
    const made = Object.assign(new Option(), { map: this.map, section: this, option, title, description, data: {} });
    this.children.push(made);
    return made;
  }
  getUIElement(sid, option) {
    return this.children.find(child => child.option === option)?.getUIElement(sid);
  }
  formvalue(sid, option) {
    return this.children.find(child => child.option === option)?.formvalue(sid);
  }
  load() {
    for (const child of this.children) for (const sid of this.sids()) child.data[sid] = child.load(sid);
  }
  shown() { return this.children; }
  render() {
    return E('div', { 'id': `cbi-knockd-${this.type}` }, [E('h3', {}, this.title), ...this.sids().map(
      sid => E('div', { 'data-section-id': sid }, this.children.map(child => child.render(sid))))]);
  }
  parse() {
    for (const child of this.shown()) for (const sid of this.sids()) child.parse(sid);
  }
}

class NamedSection extends Section {
  sids() { return [this.type]; }
}

class GridSection extends Section {
  shown() { return this.children.filter(child => child.editable); }

  render_row(sid) {
    const cells = this.children.filter(child => !child.modalonly).map(
      child => E('td', { 'data-name': child.option }, child.editable ? child.render(sid) : child.textvalue(sid)));
    return E('tr', { 'data-section-id': sid }, [E('td', [this.sectiontitle(sid)]), ...cells, E('td', [
      E('button', { 'class': 'edit', 'click': () => this.edit(sid) }, ['Edit']),
      E('button', { 'class': 'remove', 'click': () => {
        uci.remove('knockd', sid);
        this.map.show();
      } }, ['Delete']),
    ])]);
  }

  render() {
    const name = E('input', { 'class': 'cbi-section-create-name' });
    return E('div', { 'id': `cbi-knockd-${this.type}` }, [
      E('table', this.sids().map(sid => this.render_row(sid))), name,
      E('button', { 'class': 'cbi-button-add', 'click': event => this.handleAdd(event, name.value) },
        [this.addbtntitle]),
    ]);
  }

  handleAdd(event, name) { this.edit(uci.add('knockd', this.type, name)); }

  // A separate form with a copy of each option.
  edit(sid) {
    const map = new FormMap('knockd');
    const section = map.section(NamedSection, sid);
    for (const child of this.children) {
      const made = section.taboption('', child.constructor, child.option, child.title, child.description);
      const { load, write, remove, validate, placeholder, default: preset, choices } = child;
      Object.assign(made, { load, write, remove, validate, placeholder, default: preset, choices });
    }
    ui.showModal(this.modaltitle(sid), [map.render(), E('button', { 'class': 'save', 'click': () => {
      map.parse();
      ui.hideModal();
      this.map.show();
    } }, ['Save'])]);
  }
}

class FormMap {
  constructor(config, title, description) {
    Object.assign(this, { config, title, description, sections: [] });
  }
  section(Kind, type, title) {
    const section = new Kind(this, type, title);
    this.sections.push(section);
    return section;
  }
  render() {
    this.node = E('div', { 'class': 'cbi-map' });
    this.node.map = this;
    this.show();
    return this.node;
  }
  show() {
    for (const section of this.sections) section.load();
    this.node.replaceChildren(E('h2', {}, this.title), E('div', {}, this.description),
                              ...this.sections.map(section => section.render()));
  }
  parse() {
    for (const section of this.sections) section.parse();
  }
  async save() {
    this.parse();
    await uci.save(this.config);
  }
}

const form = { Map: FormMap, TypedSection: Section, GridSection, Value, ListValue, Flag };

const views = {
  LogreadBox: (tag, title) => view.extend({
    handleSaveApply: null,
    render: () => E('h2', { 'data-tag': tag }, [title]),
  }),
};

// ---- Modules: each is the body of a function, which returns a class.

const modules = { 'baseclass': Base, fs, form, poll, rpc, uci, ui, uqr, view, 'tools.views': views };

window.L = {
  hasViewPermission: () => new URLSearchParams(location.search).get('user') !== 'viewer',
  resolveDefault: promise => promise.catch(() => null),
};

async function load(name) {
  const url = `/luci-static/resources/${name.replaceAll('.', '/')}.js`;
  const source = await (await fetch(url)).text();
  const needed = [...source.matchAll(/^'require (\S+?)(?: as (\S+?))?';/gm)];
  const more = source.includes("'use strict'; 'require baseclass';") ? [['', 'baseclass']] : [];
  const wanted = [...needed, ...more];
  const values = [];
  for (const [, each] of wanted) values.push(modules[each] ?? (modules[each] = await load(each)));
  const names = wanted.map(([, each, other]) => other ?? each.replace(/[^A-Za-z0-9_]/g, '_'));
  const body = new Function('window', 'document', 'L', ...names, `${source}\n//# sourceURL=${url}`);
  const made = new (body(window, document, window.L, ...values))();
  return made;
}

load(`view.${new URLSearchParams(location.search).get('view').replace('/', '.')}`).then(made => made.start());
