// SPDX-License-Identifier: MIT
#include "knockd/fleet/broker.h"

#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "knockd/base/text.h"
#include "knockd/config/values.h"

namespace knockd {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kFirstPause = milliseconds(250);
constexpr Duration kLongestPause = seconds(10);
constexpr Duration kFirstTwinPause = seconds(5);
constexpr Duration kLongestTwinPause = seconds(300);
// A connection that lasted this long does not count as a failure when it ends; but twins disconnect
// each other in turns.
constexpr Duration kStable = seconds(60);
constexpr Duration kAlone = 3 * kLongestTwinPause;
constexpr Duration kPatience = seconds(10);  // from the first packet to acceptance
constexpr int kKeepAlive = 10;               // seconds
constexpr int kReceiveMaximum = 1000;        // unacknowledged messages to us
constexpr Duration kLongestRead = milliseconds(2);
constexpr int kQos = 1;
// Messages not yet acknowledged by the broker: the library keeps them all.
constexpr size_t kMostUnacknowledged = 65536;

// From half of it to all of it, so that thousands that lose a broker do not reconnect at once.
Duration jittered(Duration pause) {
  uint32_t number = 0;
  if (getrandom(&number, sizeof(number), 0) != sizeof(number)) return pause;
  return pause / 2 + pause / 2 * (number % 1024) / 1024;
}

const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

std::optional<Duration> expiry_of(const mosquitto_property* properties) {
  uint32_t left = 0;
  const auto* const found =
      mosquitto_property_read_int32(properties, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, &left, false);
  return found == nullptr ? std::nullopt : std::optional<Duration>(seconds(left));
}

}  // namespace

// The library's C callbacks.
struct Broker::Callbacks {
  static Broker& of(void* object) {
    auto& broker = *static_cast<Broker*>(object);
    broker.was_called_ = true;
    return broker;
  }
  static void connected(mosquitto*, void* object, int reason, int, const mosquitto_property*) {
    of(object).on_connack(reason);
  }
  static void disconnected(mosquitto*, void* object, int reason, const mosquitto_property*) {
    of(object).on_disconnect(reason);
  }
  static void published(mosquitto*, void* object, int number, int reason,
                        const mosquitto_property*) {
    Broker& broker = of(object);
    if (broker.unacknowledged_ > 0) --broker.unacknowledged_;
    if (reason >= MQTT_RC_UNSPECIFIED && !std::exchange(broker.is_refused_, true)) {
      broker.log_.error(
          broker.name() + " refuses our messages: " + mosquitto_reason_string(reason) +
          "; expected that user \"" + printable(broker.config_.user) + "\" may write knockd/" +
          broker.config_.fleet + '/' + broker.config_.gateway + "/#");
    }
    const auto token = broker.tokens_.extract(number);
    if (!token.empty()) broker.owner_.on_published(token.mapped());
  }
  static void subscribed(mosquitto*, void* object, int, int count, const int* granted,
                         const mosquitto_property*) {
    Broker& broker = of(object);
    for (int i = 0; i < count; ++i) {
      if (granted[i] < MQTT_RC_UNSPECIFIED) continue;
      if (std::exchange(broker.is_refused_, true)) return;
      broker.log_.error(broker.name() +
                        " refuses a subscription: " + mosquitto_reason_string(granted[i]) +
                        "; expected that user \"" + printable(broker.config_.user) +
                        "\" may read knockd/" + broker.config_.fleet + "/#");
      return;
    }
  }
  static void message(mosquitto*, void* object, const mosquitto_message* message,
                      const mosquitto_property* properties) {
    const auto size = static_cast<size_t>(message->payloadlen);
    of(object).owner_.on_message(
        message->topic,
        size == 0 ? "" : std::string_view(static_cast<char*>(message->payload), size),
        expiry_of(properties));
  }
  static void logged(mosquitto*, void* object, int level, const char* text) {
    if (level == MOSQ_LOG_ERR) static_cast<Broker*>(object)->library_error_ = text;
  }
};

Broker::Broker(EventLoop& loop, Log& log, const FleetConfig& config, Owner& owner)
    : loop_(loop),
      log_(log),
      config_(config),
      owner_(owner),
      pause_(kFirstPause, kLongestPause),
      twin_pause_(kFirstTwinPause, kLongestTwinPause),
      again_(loop, [this] { connect(); }),
      second_(loop, [this] { on_second(); }),
      patience_(loop, [this] {
        end("no answer");
        see_to_end();
      }) {
  mosquitto_lib_init();
}

Broker::~Broker() {
  if (socket_ >= 0) loop_.unwatch(socket_);
  if (session_ != nullptr) mosquitto_destroy(session_);
  mosquitto_lib_cleanup();
}

std::string Broker::name() const {
  return "broker " + printable(config_.host) + format(":%u", unsigned{config_.port});
}

// --- Coming and going ----------------------------------------------------------------------------

void Broker::connect() {
  library_error_.clear();
  has_twin_ = false;
  ended_.reset();
  tokens_.clear();
  unacknowledged_ = 0;
  state_ = State::kConnecting;
  if (!make_session()) {
    end(text_of(MOSQ_ERR_UNKNOWN));
    return see_to_end();
  }
  const int status =
      mosquitto_connect_async(session_, config_.host.c_str(), config_.port, kKeepAlive);
  if (status != MOSQ_ERR_SUCCESS) {
    end(status == MOSQ_ERR_EAI ? "this name has no address" : text_of(status));
  }
  patience_.set(BootClock::now() + kPatience);
  second_.set(BootClock::now() + seconds(1));
  watch();
  see_to_end();
}

bool Broker::make_session() {
  const std::string id = "knockd-" + config_.fleet + '-' + config_.gateway;
  session_ = mosquitto_new(id.c_str(), true, this);
  if (session_ == nullptr) return false;
  mosquitto_connect_v5_callback_set(session_, Callbacks::connected);
  mosquitto_disconnect_v5_callback_set(session_, Callbacks::disconnected);
  mosquitto_publish_v5_callback_set(session_, Callbacks::published);
  mosquitto_subscribe_v5_callback_set(session_, Callbacks::subscribed);
  mosquitto_message_v5_callback_set(session_, Callbacks::message);
  mosquitto_log_callback_set(session_, Callbacks::logged);
  bool made = mosquitto_int_option(session_, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5) == 0 &&
              mosquitto_int_option(session_, MOSQ_OPT_RECEIVE_MAXIMUM, kReceiveMaximum) == 0 &&
              mosquitto_int_option(session_, MOSQ_OPT_TCP_NODELAY, 1) == 0;
  if (made && !config_.user.empty()) {
    made =
        mosquitto_username_pw_set(session_, config_.user.c_str(), or_null(config_.password)) == 0;
  }
  if (!made || config_.tls_ca.empty()) return made;
  return mosquitto_tls_set(session_, config_.tls_ca.c_str(), nullptr, or_null(config_.tls_cert),
                           or_null(config_.tls_key), nullptr) == 0;
}

void Broker::stop() {
  again_.set(std::nullopt);
  if (state_ != State::kConnected) return;
  mosquitto_disconnect_v5(session_, MQTT_RC_NORMAL_DISCONNECTION, nullptr);
  mosquitto_loop_write(session_, 1);
}

void Broker::end(std::string why) {
  if (!ended_) ended_ = std::move(why);
}

void Broker::see_to_end() {
  if (!ended_) return;
  const bool was_connected = state_ == State::kConnected;
  state_ = State::kAway;
  if (socket_ >= 0) loop_.unwatch(std::exchange(socket_, -1));
  if (session_ != nullptr) mosquitto_destroy(std::exchange(session_, nullptr));
  patience_.set(std::nullopt);
  second_.set(std::nullopt);
  const Instant now = BootClock::now();
  if (was_connected && now - connected_ >= kStable) {
    pause_.reset();
    is_refused_ = false;
  }
  if (was_connected && now - connected_ >= kAlone) twin_pause_.reset();
  again_.set(now + jittered(has_twin_ ? twin_pause_.next() : pause_.next()));
  if (!has_twin_ && pause_.is_worth_a_line()) {
    log_.warning(name() + ": " + printable(*ended_) + "; local doors go on, trying again");
  }
  if (was_connected) owner_.on_lost();
}

void Broker::on_connack(int reason) {
  if (reason != 0) {
    const bool is_user = reason == MQTT_RC_NOT_AUTHORIZED ||
                         reason == MQTT_RC_BAD_USERNAME_OR_PASSWORD || reason == 4 || reason == 5;
    if (is_user) {
      return end("it refuses user \"" + config_.user +
                 "\" (User, Password_File): " + mosquitto_reason_string(reason));
    }
    return end(reason == MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION || reason == 1
                   ? "it speaks no MQTT 5"
                   : std::string("it refuses us: ") + mosquitto_reason_string(reason));
  }
  if (state_ == State::kConnected) return end("it lets us in again and again");
  state_ = State::kConnected;
  connected_ = BootClock::now();
  patience_.set(std::nullopt);
  // Some brokers disconnect clients without write permission: log that once.
  if (!is_refused_) {
    log_.notice("connected to " + name() + " as gateway " + config_.gateway + " of fleet " +
                config_.fleet);
  }
  owner_.on_connected();
}

void Broker::on_disconnect(int reason) {
  if (reason == MQTT_RC_SESSION_TAKEN_OVER) name_twin();
  // A reason of the broker, or an error of the library.
  end(reason >= MQTT_RC_UNSPECIFIED ? mosquitto_reason_string(reason) : text_of(reason));
}

// The library's error texts are less specific than its log: "OpenSSL Error[0]: error:0A000086: SSL
// routines::certificate verify failed".
std::string Broker::text_of(int status) const {
  if (const size_t at = library_error_.rfind("::"); at != std::string::npos) {
    return "TLS: " + library_error_.substr(at + 2);
  }
  if (!library_error_.empty()) return library_error_;
  if (status == MOSQ_ERR_KEEPALIVE) return "it is silent";  // the library has "Unknown error."
  return status == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(status);
}

void Broker::name_twin() {
  if (std::exchange(has_twin_, true)) return;
  log_.error("another knockd-fleet is gateway " + config_.gateway + " of fleet " + config_.fleet +
             " at " + name() + ": expected a name of its own for each (Gateway)");
}

// --- Reading and writing -------------------------------------------------------------------------

void Broker::watch() {
  if (session_ == nullptr || ended_) return;
  const int fd = mosquitto_socket(session_);
  if (fd != socket_) {
    if (socket_ >= 0) loop_.unwatch(socket_);
    socket_ = fd;
  }
  if (fd < 0) return end("the connection is lost");
  // The library does not report that it is still connecting.
  sockaddr_storage peer;
  socklen_t length = sizeof(peer);
  const bool is_up = getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) == 0;
  const bool wants_out = !is_up || mosquitto_want_write(session_);
  const uint32_t events = wants_out ? EPOLLIN | EPOLLOUT : uint32_t{EPOLLIN};
  if (!loop_.watch(fd, events, [this] { on_ready(); })) end("epoll refuses its socket");
}

void Broker::on_ready() {
  read_all();
  if (!ended_ && mosquitto_want_write(session_)) {
    const int status = mosquitto_loop_write(session_, 1);
    if (status != MOSQ_ERR_SUCCESS) end(text_of(status));
  }
  watch();
  see_to_end();
}

// Reads all that has arrived: with TLS, the kernel does not know that more is buffered.
void Broker::read_all() {
  const Instant last = BootClock::now() + kLongestRead;
  while (!ended_) {
    was_called_ = false;
    errno = 0;
    const int status = mosquitto_loop_read(session_, 1);
    const bool is_all = errno == EAGAIN && !was_called_;
    if (status != MOSQ_ERR_SUCCESS) {
      return end(text_of(status));
    }
    if (is_all || mosquitto_socket(session_) < 0) return;
    if (BootClock::now() < last) continue;
    second_.set(BootClock::now());  // other events first
    return;
  }
}

void Broker::on_second() {
  if (session_ == nullptr) return;
  second_.set(BootClock::now() + seconds(1));
  const int status = mosquitto_loop_misc(session_);
  if (status != MOSQ_ERR_SUCCESS) end(text_of(status));
  on_ready();
}

void Broker::subscribe(const std::vector<std::string>& filters) {
  if (state_ != State::kConnected || ended_) return;
  std::vector<char*> list;
  list.reserve(filters.size());
  for (const std::string& filter : filters) list.push_back(const_cast<char*>(filter.c_str()));
  const int status = mosquitto_subscribe_multiple(session_, nullptr, static_cast<int>(list.size()),
                                                  list.data(), kQos, 0, nullptr);
  if (status != MOSQ_ERR_SUCCESS) end(mosquitto_strerror(status));
  watch();
}

void Broker::publish(const Message& message) {
  if (state_ != State::kConnected || ended_) return;
  mosquitto_property* properties = nullptr;
  if (message.expiry != 0) {
    mosquitto_property_add_int32(&properties, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, message.expiry);
  }
  int number = 0;
  const int status = mosquitto_publish_v5(session_, &number, message.topic.c_str(),
                                          static_cast<int>(message.payload.size()),
                                          message.payload.data(), kQos, message.retain, properties);
  mosquitto_property_free_all(&properties);
  if (status != MOSQ_ERR_SUCCESS) {
    log_.warning(name() + ": a message cannot be sent: " + mosquitto_strerror(status));
    if (message.token != 0) owner_.on_published(message.token);
    return;
  }
  if (message.token != 0) tokens_[number] = message.token;
  if (++unacknowledged_ > kMostUnacknowledged) end("it acknowledges nothing");
  watch();
}

}  // namespace knockd
