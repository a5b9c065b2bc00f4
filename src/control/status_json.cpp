// SPDX-License-Identifier: MIT
// The keys never change: knockd(8) lists them, and a test compares the two.
#include "knockd/control/happening.h"
#include "knockd/control/json.h"
#include "knockd/control/status_report.h"

namespace knockd {
namespace {

void write(JsonWriter& json, const InterfaceReport& interface) {
  const bool listens = interface.waits_because.empty();
  json.begin_object().key("name").text(interface.name).key("listening").yes_no(listens);
  if (!listens) json.key("waits_because").text(interface.waits_because);
  json.key("addresses").begin_array();
  for (const IpAddress& address : interface.addresses) json.text(address.to_string());
  json.end_array();
  if (listens) {
    json.key("link_type").text(interface.link_type);
    json.key("filter_in_kernel").yes_no(interface.filter_in_kernel);
    json.key("packets").number(interface.packets).key("lost").number(interface.lost);
    json.key("sources").number(interface.sources).key("age").seconds(interface.age);
  }
  json.end_object();
}

void write(JsonWriter& json, const DoorReport& door) {
  const DoorTotals& totals = door.totals;
  json.begin_object().key("name").text(door.name).key("open").number(door.open);
  json.key("begun").number(totals.begun).key("opened").number(totals.opened);
  json.key("timed_out").number(totals.timed_out).key("wrong").number(totals.wrong);
  json.key("discarded").number(totals.discarded).key("refused").number(totals.refused);
  json.key("commands_failed").number(totals.commands_failed);
  json.key("open_for").seconds(door.open_for).key("closes").yes_no(door.closes);
  if (!door.users.empty()) {
    json.key("users").begin_array();
    for (const std::string& user : door.users) json.text(user);
    json.end_array();
  }
  json.end_object();
}

void write(JsonWriter& json, const OpeningReport& opening) {
  json.begin_object().key("id").number(opening.id).key("door").text(opening.door);
  json.key("address").text(opening.address.to_string()).key("network").text(opening.network);
  if (!opening.user.empty()) json.key("user").text(opening.user);
  if (!opening.fleet.empty()) json.key("fleet").text(opening.fleet);
  json.key("interface").text(opening.interface).key("since");
  opening.since ? json.seconds(*opening.since) : json.null();
  json.key("until").seconds(opening.until).key("left").seconds(opening.left).end_object();
}

void write(JsonWriter& json, const FailedAttempt& attempt) {
  json.begin_object().key("time").seconds(attempt.time);
  json.key("address").text(attempt.source.to_string()).key("door").text(attempt.door);
  json.key("interface").text(attempt.interface).key("stage").number(attempt.stage);
  json.key("reason").text(name_of(attempt.end));
  write_knock(json, "came", attempt.came);
  write_knock(json, "expected", attempt.expected);
  json.key("text").text(reason_text(attempt)).end_object();
}

template <typename Item>
void write(JsonWriter& json, const char* key, const std::vector<Item>& items) {
  json.key(key).begin_array();
  for (const Item& item : items) write(json, item);
  json.end_array();
}

}  // namespace

std::string to_json(const StatusReport& report) {
  JsonWriter json;
  json.begin_object().key("version").text(report.version);
  json.key("pid").number(static_cast<uint64_t>(report.pid));
  json.key("time").seconds(report.time).key("uptime").seconds(report.uptime);
  json.key("config").begin_object().key("file").text(report.config_file);
  json.key("read").seconds(report.config_read);
  json.key("changed").yes_no(report.config_changed).end_object();
  json.key("clock_is_kept").yes_no(report.clock_is_kept);
  json.key("max_sources").number(report.max_sources);
  json.key("commands").begin_object().key("running").number(report.commands_running);
  json.key("waiting").number(report.commands_waiting).end_object();
  write(json, "interfaces", report.interfaces);
  write(json, "doors", report.doors);
  write(json, "openings", report.openings);
  write(json, "attempts", report.attempts);
  return json.end_object().take();
}

}  // namespace knockd
