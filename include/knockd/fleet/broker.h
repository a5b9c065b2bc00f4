// SPDX-License-Identifier: MIT
// The connection to the MQTT 5 broker, by libmosquitto in the event loop. Reconnects with growing
// pauses, each time as a new session, so that no old message arrives after a new one. The owner
// handles the messages.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "knockd/base/clock.h"
#include "knockd/base/event_loop.h"
#include "knockd/base/growing_pause.h"
#include "knockd/base/log.h"
#include "knockd/fleet/fleet_config.h"

struct mosquitto;

namespace knockd {

class Broker {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // The broker has accepted the connection. Filters and messages may be sent from now on.
    virtual void on_connected() = 0;
    virtual void on_lost() = 0;
    // `expiry`: the message's remaining one, if any.
    virtual void on_message(std::string_view topic, std::string_view payload,
                            std::optional<Duration> expiry) = 0;
    // The broker has received or refused the message.
    virtual void on_published(uint64_t token) = 0;
  };

  struct Message {
    std::string topic{};
    std::string payload{};
    bool retain = false;
    uint32_t expiry = 0;  // seconds; 0: none
    uint64_t token = 0;   // for on_published(); 0: no call
  };

  Broker(EventLoop& loop, Log& log, const FleetConfig& config, Owner& owner);
  ~Broker();
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  void start() { connect(); }
  // Disconnects.
  void stop();
  // Does nothing without a connection.
  void subscribe(const std::vector<std::string>& filters);
  void publish(const Message& message);
  // Another client has connected with our name: logs that, and delays the reconnect if it happens
  // again.
  void name_twin();

 private:
  struct Callbacks;
  enum class State : uint8_t { kAway, kConnecting, kConnected };

  void connect();
  bool make_session();
  void on_ready();
  void read_all();
  void on_second();
  void watch();
  // Must not destroy anything during a callback of the library: cleanup follows later.
  void end(std::string why);
  void see_to_end();
  void on_connack(int reason);
  void on_disconnect(int reason);
  std::string name() const;
  std::string text_of(int status) const;

  EventLoop& loop_;
  Log& log_;
  const FleetConfig& config_;
  Owner& owner_;
  mosquitto* session_ = nullptr;
  int socket_ = -1;
  State state_ = State::kAway;
  std::optional<std::string> ended_{};  // why
  bool has_twin_ = false;               // another client has our name
  bool is_refused_ = false;             // logged that our messages or subscriptions are refused
  bool was_called_ = false;             // by the library
  std::string library_error_;           // the last one in its log
  std::map<int, uint64_t> tokens_;      // by the message's number
  size_t unacknowledged_ = 0;           // our messages
  Instant connected_{};
  GrowingPause pause_;
  GrowingPause twin_pause_;
  EventLoop::Alarm again_;
  EventLoop::Alarm second_;
  EventLoop::Alarm patience_;
};

}  // namespace knockd
