// SPDX-License-Identifier: MIT
#include "knockd/control/happening.h"

#include <iterator>

#include "knockd/control/json.h"

namespace knockd {
namespace {

// By HappeningKind.
constexpr const char* kNames[] = {"stage",     "open",       "refused", "closed",         "timeout",
                                  "wrong",     "wrong_code", "scan",    "command_failed", "reload",
                                  "interface", "code",       "overrun"};
static_assert(std::size(kNames) == static_cast<size_t>(HappeningKind::kOverrun) + 1);

void write(JsonWriter& json, const char* key, const std::string& text) {
  if (!text.empty()) json.key(key).text(text);
}

}  // namespace

void write_knock(JsonWriter& json, const char* key, const std::optional<Knock>& knock) {
  if (!knock) return;
  json.key(key).begin_object().key("port").number(knock->port);
  json.key("protocol").text(protocol_name(knock->protocol)).end_object();
}

std::string to_json(const Happening& happening) {
  JsonWriter json;
  json.begin_object().key("time").seconds(happening.time);
  json.key("event").text(kNames[static_cast<size_t>(happening.event)]);
  if (happening.id != 0) json.key("id").number(happening.id);
  write(json, "door", happening.door);
  if (happening.address) json.key("address").text(happening.address->to_string());
  write(json, "network", happening.network);
  if (happening.renewed) json.key("renewed").yes_no(true);
  write(json, "user", happening.user);
  write(json, "fleet", happening.fleet);
  write(json, "interface", happening.interface);
  if (happening.until) json.key("until").seconds(*happening.until);
  if (happening.stage != 0) json.key("stage").number(happening.stage);
  write_knock(json, "came", happening.came);
  write_knock(json, "expected", happening.expected);
  write(json, "why", happening.why);
  if (happening.by != nullptr) json.key("by").text(happening.by);
  write(json, "secret", happening.secret);
  if (happening.step != 0) json.key("step").number(happening.step);
  return json.end_object().take();
}

std::string overrun_json(WallTime time) {
  Happening happening;
  happening.event = HappeningKind::kOverrun;
  happening.time = time;
  return to_json(happening);
}

}  // namespace knockd
