// SPDX-License-Identifier: MIT
// For scripts/lint, which installs ESLint from npm into build/eslint.
'use strict';

const recommended = require('@eslint/js').configs.recommended;

const all = names => Object.fromEntries(names.map(name => [name, 'readonly']));

const BROWSER = all(['cockpit', 'document', 'localStorage', 'location', 'matchMedia', 'performance',
  'setInterval', 'window', 'CustomEvent', 'knockd_doors']);
// What LuCI gives to each module, and what modules name by 'require'.
const LUCI = all(['L', 'E', '_', 'baseclass', 'form', 'fs', 'poll', 'rpc', 'uci', 'ui', 'uqr', 'view', 'views',
  'doors', 'values', 'window', 'document', 'location', 'performance', 'crypto']);
const NODE = all(['require', 'module', 'process', '__dirname', 'console', 'Buffer']);

module.exports = [
  {
    ...recommended,
    rules: {
      ...recommended.rules,
      eqeqeq: ['error', 'always', {null: 'ignore'}],
      'no-unused-vars': ['error', {caughtErrorsIgnorePattern: '^_'}],
      'no-implied-eval': 'error',
      'no-restricted-properties': ['error', ...['innerHTML', 'outerHTML', 'insertAdjacentHTML', 'write'].map(
        property => ({property, message: 'Names and values are text: textContent, or E() of LuCI.'}))],
      'prefer-const': 'error',
      'no-var': 'error',
    },
    linterOptions: {reportUnusedDisableDirectives: 'error'},
    languageOptions: {ecmaVersion: 2022, sourceType: 'script'},
  },
  {files: ['packaging/web/**'], languageOptions: {globals: all(['module'])},
    // The page's script, and that of LuCI, use it.
    rules: {'no-unused-vars': ['error', {varsIgnorePattern: '^knockd_doors$', caughtErrorsIgnorePattern: '^_'}]}},
  {files: ['packaging/cockpit/**'], languageOptions: {globals: BROWSER}},
  // Each is the body of a function, which returns a class.
  {files: ['openwrt/**'], languageOptions: {globals: LUCI, parserOptions: {ecmaFeatures: {globalReturn: true}}}},
  {files: ['**/*.cjs', 'tests/**'], languageOptions: {globals: NODE, sourceType: 'commonjs'}},
  // LuCI's own elements and forms, as careless as there.
  {files: ['tests/luci/luci.js'], rules: {'no-restricted-properties': 'off'},
    languageOptions: {sourceType: 'script', globals: {...all(['window', 'document', 'location', 'E', 'fetch', 'Node',
      'URLSearchParams']), ...Object.fromEntries(Object.keys(NODE).map(name => [name, 'off']))}}},
];
