// SPDX-License-Identifier: MIT
#include "knockd/fleet/daemon_text.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "knockd/control/json.h"
#include "knockd/control/request.h"
#include "knockd/fleet/json_tree.h"

namespace knockd {
namespace {

constexpr size_t kLongestStatus = size_t{64} << 20;  // bytes
constexpr size_t kLongestEvent = size_t{64} << 10;
constexpr int kDeepest = 8;
constexpr Duration kLeastLeft = std::chrono::milliseconds(1);

constexpr double kMostSeconds = 9e9;  // fit into nanoseconds, to the year 2255

// Rounded to milliseconds, as they are written.
std::chrono::milliseconds read_seconds(JsonValue value) {
  const double seconds = std::clamp(value.number().value_or(0), 0.0, kMostSeconds);
  return std::chrono::milliseconds(std::llround(seconds * 1000));
}

std::optional<DoorAddress> read_place(JsonValue value) {
  auto door = value["door"].text();
  const auto address = IpAddress::parse(value["address"].text().value_or(""));
  if (!door || !address) return std::nullopt;
  return DoorAddress{std::move(*door), *address};
}

// Nothing for one without an end, which has nothing to undo.
std::optional<LocalOpening> read_opening(JsonValue value) {
  auto place = read_place(value);
  const auto id = value["id"].whole();
  if (!place || !id || !value["until"]) return std::nullopt;
  return LocalOpening{*id, std::move(*place), read_seconds(value["until"]),
                      value["user"].text().value_or(""), static_cast<bool>(value["fleet"])};
}

DaemonEvent read_closed(JsonValue value) {
  auto place = read_place(value);
  const auto id = value["id"].whole();
  if (!place || !id) return {};
  const std::string by = value["by"].text().value_or("");
  return DaemonClosed{std::move(*place), *id,
                      by == "hand"       ? ClosedBy::kHand
                      : by == "fleet"    ? ClosedBy::kFleet
                      : by == "shutdown" ? ClosedBy::kShutdown
                                         : ClosedBy::kTime};
}

DaemonEvent read_code(JsonValue value) {
  const auto id = value["id"].whole();
  auto secret = value["secret"].text();
  const auto step = value["step"].whole();
  const auto address = IpAddress::parse(value["address"].text().value_or(""));
  if (!id || !secret || !step || !address) return {};
  return UsedCode{*id, std::move(*secret), {static_cast<Step>(*step), *address}};
}

}  // namespace

std::optional<DaemonStatus> parse_status(std::string_view json) {
  const auto tree = JsonTree::parse(json, kLongestStatus, kDeepest);
  if (!tree || !tree->root()["doors"].is_array() || !tree->root()["openings"].is_array()) {
    return std::nullopt;
  }
  DaemonStatus status;
  for (JsonValue door = tree->root()["doors"].first(); door; door = door.next()) {
    const auto name = door["name"].text();
    if (name) status.doors[*name] = {read_seconds(door["open_for"]), door["closes"].is_true()};
  }
  for (JsonValue one = tree->root()["openings"].first(); one; one = one.next()) {
    if (auto opening = read_opening(one)) status.openings.push_back(std::move(*opening));
  }
  return status;
}

DaemonEvent parse_event(std::string_view json) {
  const auto tree = JsonTree::parse(json, kLongestEvent, kDeepest);
  if (!tree) return {};
  const std::string event = tree->root()["event"].text().value_or("");
  if (event == "reload") return DaemonReloaded{};
  if (event == "closed") return read_closed(tree->root());
  if (event == "code") return read_code(tree->root());
  if (event != "open") return {};
  auto opening = read_opening(tree->root());
  return opening ? DaemonEvent(std::move(*opening)) : DaemonEvent();
}

namespace {

struct Words {
  Instant now;

  std::vector<std::string> operator()(const FleetOpen& open) const {
    const Duration left = open.end - now;
    if (left < kLeastLeft) return {};
    std::vector<std::string> words{"fleet-open", open.place.door, open.place.address.to_string(),
                                   seconds_text(left), open.gateway};
    if (!open.user.empty()) words.push_back(open.user);
    return words;
  }
  std::vector<std::string> operator()(const FleetClose& close) const {
    return {"fleet-close", close.place.door, close.place.address.to_string(), close.gateway};
  }
  std::vector<std::string> operator()(const FleetUsed& used) const {
    return {"fleet-used", used.secret, std::to_string(used.code.step),
            used.code.address.to_string(), used.gateway};
  }
  std::vector<std::string> operator()(const FleetShared& shared) const {
    return {"fleet-shared", std::to_string(shared.id)};
  }
};

}  // namespace

std::optional<std::string> request_text(const DaemonRequest& request, Instant now) {
  const std::vector<std::string> words = std::visit(Words{now}, request);
  if (words.empty()) return std::nullopt;
  auto line = request_line(words);
  if (!line) return std::nullopt;
  return std::move(*line);
}

}  // namespace knockd
