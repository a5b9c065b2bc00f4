// SPDX-License-Identifier: MIT
#include "knockd/fleet/json_tree.h"

#include <cjson/cJSON.h>

#include <cmath>

#include "knockd/base/text.h"

namespace knockd {
namespace {

constexpr double kMostExact = 9007199254740992.0;  // 2^53

// Exact for valid JSON. The library refuses other text, and recurses as deep as it is nested.
bool is_nested_deeper(std::string_view text, int deepest) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > deepest) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

}  // namespace

JsonValue JsonValue::operator[](const char* name) const {
  return JsonValue(is_object() ? cJSON_GetObjectItemCaseSensitive(value_, name) : nullptr);
}

std::optional<std::string> JsonValue::text() const {
  if (cJSON_IsString(value_) == 0) return std::nullopt;
  return std::string(value_->valuestring);
}

std::optional<double> JsonValue::number() const {
  if (cJSON_IsNumber(value_) == 0 || !std::isfinite(value_->valuedouble)) return std::nullopt;
  return value_->valuedouble;
}

std::optional<uint64_t> JsonValue::whole() const {
  const auto value = number();
  if (!value || *value < 0 || *value > kMostExact || *value != std::floor(*value)) {
    return std::nullopt;
  }
  return static_cast<uint64_t>(*value);
}

bool JsonValue::is_true() const { return cJSON_IsTrue(value_) != 0; }
bool JsonValue::is_array() const { return cJSON_IsArray(value_) != 0; }
bool JsonValue::is_object() const { return cJSON_IsObject(value_) != 0; }

JsonValue JsonValue::first() const { return JsonValue(is_array() ? value_->child : nullptr); }
JsonValue JsonValue::next() const { return JsonValue(value_ == nullptr ? nullptr : value_->next); }

void JsonTree::Deleter::operator()(cJSON* tree) const { cJSON_Delete(tree); }

std::optional<JsonTree> JsonTree::parse(std::string_view text, size_t longest, int deepest) {
  if (text.size() > longest || is_nested_deeper(text, deepest)) return std::nullopt;
  const char* end = nullptr;
  JsonTree tree(cJSON_ParseWithLengthOpts(text.data(), text.size(), &end, 0));
  if (!tree.root_) return std::nullopt;
  if (!trim(text.substr(static_cast<size_t>(end - text.data()))).empty()) return std::nullopt;
  return tree;
}

}  // namespace knockd
