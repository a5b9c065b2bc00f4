# SPDX-License-Identifier: MIT
"""A status for pages whose texts are all ones that no daemon should print."""

import json


def hostile_status(text):
    return json.dumps({
        "version": text, "pid": 7, "time": 0, "uptime": 1e12, "clock_is_kept": False, "max_sources": 1,
        "config": {"file": text, "read": 0, "changed": True}, "commands": {"running": 0, "waiting": 0},
        "interfaces": [{"name": text, "listening": False, "waits_because": text, "addresses": [text]}],
        "doors": [{"name": text, "users": [text]}],
        "openings": [{"id": text, "door": text, "address": text, "network": text, "user": text,
                      "interface": text, "since": 0, "until": 0, "left": -5}],
        "attempts": [{"time": 0, "address": text, "door": text, "interface": text, "stage": 1, "text": text}]})
