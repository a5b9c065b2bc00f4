// SPDX-License-Identifier: MIT
#include "knockd/fleet/message.h"

#include <cmath>

#include "knockd/base/name.h"
#include "knockd/control/json.h"
#include "knockd/fleet/json_tree.h"

namespace knockd {
namespace {

constexpr int kDeepest = 3;
constexpr double kLastSecond = 9e9;  // fits into nanoseconds: the year 2255
constexpr uint64_t kLastStep = uint64_t{1} << 40;

std::optional<JsonTree> parse(std::string_view payload) {
  return JsonTree::parse(payload, kLongestMessage, kDeepest);
}

std::optional<WallTime> read_time(JsonValue value) {
  const auto seconds = value.number();
  if (!seconds || *seconds <= 0 || *seconds >= kLastSecond) return std::nullopt;
  // Rounded to milliseconds, as it is written.
  return std::chrono::milliseconds(std::llround(*seconds * 1000));
}

bool is_user(std::string_view name) { return is_name(name, kLongestUser); }

}  // namespace

std::string to_json(const OpenMessage& message) {
  JsonWriter json;
  json.begin_object().key("until").seconds(message.until).key("id").number(message.id);
  if (!message.user.empty()) json.key("user").text(message.user);
  return json.end_object().take();
}

std::string to_json(const CloseMessage& message) {
  JsonWriter json;
  json.begin_object().key("ids").begin_array();
  for (const auto& [gateway, id] : message.ids) {
    json.begin_array().text(gateway).number(id).end_array();
  }
  return json.end_array().key("until").seconds(message.until).end_object().take();
}

std::string to_json(const CodeMessage& message) {
  JsonWriter json;
  json.begin_object().key("step").number(static_cast<uint64_t>(message.step));
  return json.key("address").text(message.address.to_string()).end_object().take();
}

std::optional<OpenMessage> parse_open_message(std::string_view payload) {
  const auto tree = parse(payload);
  if (!tree) return std::nullopt;
  const auto until = read_time(tree->root()["until"]);
  const auto id = tree->root()["id"].whole();
  const JsonValue user = tree->root()["user"];
  if (!until || !id) return std::nullopt;
  OpenMessage message{*until, *id, ""};
  if (!user) return message;
  const auto name = user.text();
  if (!name || !is_user(*name)) return std::nullopt;
  message.user = *name;
  return message;
}

std::optional<CloseMessage> parse_close_message(std::string_view payload) {
  const auto tree = parse(payload);
  if (!tree) return std::nullopt;
  const auto until = read_time(tree->root()["until"]);
  const JsonValue ids = tree->root()["ids"];
  if (!until || !ids.is_array()) return std::nullopt;
  CloseMessage message;
  message.until = *until;
  for (JsonValue pair = ids.first(); pair; pair = pair.next()) {
    const JsonValue first = pair.first();
    const auto gateway = first.text();
    const auto id = first.next().whole();
    if (!gateway || !is_name(*gateway, kLongestGateway) || !id || first.next().next())
      return std::nullopt;
    if (message.ids.size() == kMostClosedIds) return std::nullopt;
    message.ids.emplace_back(*gateway, *id);
  }
  return message;
}

std::optional<CodeMessage> parse_code_message(std::string_view payload) {
  const auto tree = parse(payload);
  if (!tree) return std::nullopt;
  const auto step = tree->root()["step"].whole();
  const auto text = tree->root()["address"].text();
  const auto address = text ? IpAddress::parse(*text) : std::nullopt;
  if (!step || *step > kLastStep || !address) return std::nullopt;
  return CodeMessage{static_cast<Step>(*step), *address};
}

}  // namespace knockd
