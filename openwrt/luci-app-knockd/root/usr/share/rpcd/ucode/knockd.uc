// SPDX-License-Identifier: MIT
// The requests of LuCI's pages to knockd: rpcd offers them as the ubus object luci.knockd. Each
// method runs one command line with rpcd's `file exec`, without a shell and in parallel with other
// requests. It answers {status, text, message}: the exit status, standard output and standard
// error; without an exit status the message gives the reason.
//
// Written in the common subset of ucode and JavaScript, so that tests can run it without ucode.
'use strict';

import { access } from 'fs';
import { connect } from 'ubus';

// Global, because a connection local to a call could be collected before its answer.
const ubus = connect();

const program = '/usr/sbin/knockd';

// The configuration that the init script wrote for the daemon, and the one that was refused.
const written = '/var/run/knockd.conf';
const refused = '/var/run/knockd.conf.new';

const longest_name = 1024;

// Error codes of ubus when the command took too long, or printed more than rpcd keeps.
const timed_out = 7, not_supported = 8;

function is_name(text) {
	if (type(text) != 'string' || length(text) < 1 || length(text) > longest_name) return false;
	for (let i = 0; i < length(text); i++) {
		if (ord(text, i) < 32 || ord(text, i) == 127) return false;
	}
	return true;
}

// In ucode ^ and $ match at each line, so the value must first be a name: one line.
function is_address(text) {
	return is_name(text) && length(text) <= 45 && match(text, /^[0-9A-Fa-f:.]+$/) != null &&
	       match(text, /^[0-9A-Fa-f]*[:.]/) != null;
}

function is_time(text) {
	return is_name(text) && length(text) <= 10 && match(text, /^[0-9]+[smhd]?$/) != null;
}

function fault(message) {
	return { status: 1, text: '', message: message };
}

function no_answer(message) {
	return { status: null, text: '', message: message };
}

// rpcd reports status 0 for a killed command, but a successful one always prints something.
function answer_of(failure, done) {
	if (failure == timed_out) return no_answer('knockd does not answer');
	if (failure == not_supported) return no_answer('the answer of knockd is longer than rpcd passes on');
	if (failure || !done) return no_answer('knockd could not be started');
	const text = done.stdout ?? '', message = done.stderr ?? '';
	if (done.code == 0 && length(text) == 0) return no_answer('knockd was killed before it answered');
	return { status: done.code, text: text, message: message };
}

function run(request, words, judge) {
	return ubus.defer('file', 'exec', { command: program, params: words }, function(failure, done) {
		const answer = answer_of(failure, done);
		request.reply(judge ? judge(answer) : answer);
	});
}

// From the file knockd reads only the path of the daemon's control socket.
function ask(request, words) {
	return run(request, [ '-c', written, ...words ]);
}

// The service also refuses faults that knockd cannot see, such as a section of unknown type.
function refused_by_service(answer) {
	return answer.status == 0 ? fault('/etc/config/knockd is refused by the service; its log says why') : answer;
}

const methods = {
	status: {
		call: function(request) {
			return ask(request, [ '--status=json' ]);
		}
	},

	check: {
		call: function(request) {
			if (access(refused)) return run(request, [ '-c', refused, '-t' ], refused_by_service);
			if (access(written)) return run(request, [ '-c', written, '-t' ]);
			return no_answer('knockd has not been started: there is nothing to check yet');
		}
	},

	close: {
		args: { door: 'door', address: 'address' },
		call: function(request) {
			const door = request.args.door, address = request.args.address;
			if (!is_name(door)) return fault('door: expected a name');
			if (!is_address(address)) return fault('address: expected an IPv4 or IPv6 address');
			return ask(request, [ '--close', '--door=' + door, address ]);
		}
	},

	open: {
		args: { door: 'door', address: 'address', time: 'time' },
		call: function(request) {
			const door = request.args.door, address = request.args.address, time = request.args.time ?? '';
			if (!is_name(door)) return fault('door: expected a name');
			if (!is_address(address)) return fault('address: expected an IPv4 or IPv6 address');
			if (time != '' && !is_time(time)) return fault('time: expected a time like 90, 90s, 10m, 1h or 2d');
			const words = [ '--open', '--door=' + door, address ];
			if (time != '') push(words, time);
			return ask(request, words);
		}
	}
};

return { 'luci.knockd': methods };
