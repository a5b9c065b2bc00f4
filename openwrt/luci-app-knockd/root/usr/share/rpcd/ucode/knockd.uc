// SPDX-License-Identifier: MIT
// What LuCI's pages may ask of knockd: rpcd offers it as the ubus object luci.knockd. Each method is one
// command line, run by rpcd's own `file exec`, without a shell and beside other requests. Each answers
// {status, text, message}: the exit status, standard output and standard error.
//
// Written in what ucode and JavaScript have in common, so tests run it where there is no ucode.
'use strict';

import { access } from 'fs';
import { connect } from 'ubus';

// Kept here: a connection that a call makes could be collected before the answer comes.
const ubus = connect();

const program = '/usr/sbin/knockd';

// What the init script has written for the daemon, and what it wrote if that was refused.
const written = '/var/run/knockd.conf';
const refused = '/var/run/knockd.conf.new';

const longest_name = 1024;

function is_name(text) {
	if (type(text) != 'string' || length(text) < 1 || length(text) > longest_name) return false;
	for (let i = 0; i < length(text); i++) {
		if (ord(text, i) < 32 || ord(text, i) == 127) return false;
	}
	return true;
}

function is_address(text) {
	return type(text) == 'string' && length(text) <= 45 && match(text, /^[0-9A-Fa-f:.]+$/) != null &&
	       match(text, /^[0-9A-Fa-f]*[:.]/) != null;
}

function is_time(text) {
	return type(text) == 'string' && length(text) <= 10 && match(text, /^[0-9]+[smhd]?$/) != null;
}

function fault(message) {
	return { status: 1, text: '', message: message };
}

// The file says where the daemon can be asked; knockd reads nothing else of it.
function run(request, words) {
	return ubus.defer('file', 'exec', { command: program, params: words }, function(failure, done) {
		request.reply(failure || !done ? fault('knockd could not be started')
			: { status: done.code, text: done.stdout ?? '', message: done.stderr ?? '' });
	});
}

const methods = {
	status: {
		call: function(request) {
			return run(request, [ '-c', written, '--status=json' ]);
		}
	},

	check: {
		call: function(request) {
			return run(request, [ '-c', access(refused) ? refused : written, '-t' ]);
		}
	},

	close: {
		args: { door: 'door', address: 'address' },
		call: function(request) {
			const door = request.args.door, address = request.args.address;
			if (!is_name(door)) return fault('door: expected a name');
			if (!is_address(address)) return fault('address: expected an IPv4 or IPv6 address');
			return run(request, [ '-c', written, '--close', '--door=' + door, address ]);
		}
	},

	open: {
		args: { door: 'door', address: 'address', time: 'time' },
		call: function(request) {
			const door = request.args.door, address = request.args.address, time = request.args.time ?? '';
			if (!is_name(door)) return fault('door: expected a name');
			if (!is_address(address)) return fault('address: expected an IPv4 or IPv6 address');
			if (time != '' && !is_time(time)) return fault('time: expected a time like 90, 90s, 10m, 1h or 2d');
			const words = [ '-c', written, '--open', '--door=' + door, address ];
			if (time != '') push(words, time);
			return run(request, words);
		}
	}
};

return { 'luci.knockd': methods };
