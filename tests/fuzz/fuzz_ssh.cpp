// Interprets arbitrary bytes as a sidecar's actions in its session: connections from any address to any port,
// data, ends of file and closes in any order, and services that answer, hang up, reset or stall. The sidecar
// is libssh's server at the other end of a loopback connection. The pump may lose the session with
// Error{failure}, nothing else; at the end no connection and no descriptor is left, and the pump has refused
// every foreign connection.
#include "core/deadline.hpp"
#include "hostnet/error.hpp"
#include "input.hpp"
#include "path/ssh/key.hpp"
#include "path/ssh/pump.hpp"
#include "path/ssh/session.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using namespace hostnet;

using fuzz::Input;
using fuzz::require;

namespace {

constexpr std::uint16_t kPorts[] = {7001, 7002, 7003,
                                    7004};  // of the lease; the fifth kind of port is outside it
const char* const kOrigins[] = {"10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2", "", "::1", "10.0.0.1 "};

Fd loopback_listener() {
  Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  require(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  require(::listen(listener.get(), 64) == 0);
  return listener;
}

sockaddr_in address_of(const Fd& socket) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  require(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return address;
}

// Both ends of a TCP connection: only on TCP sockets does the pump gather small answers.
std::pair<Fd, Fd> connected_pair() {
  static const Fd listener = loopback_listener();
  const auto address = address_of(listener);
  Fd ours(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  require(::connect(ours.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  Fd theirs(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  require(static_cast<bool>(theirs));
  const int on = 1;
  ::setsockopt(theirs.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return {std::move(ours), std::move(theirs)};
}

// Four services in one thread, one port each: echo, hang up, answer and reset, stall.
class Services {
 public:
  Services() {
    for (auto& listener : listeners_) listener = loopback_listener();
    std::thread([this] { serve(); }).detach();  // as long as the process
  }

  [[nodiscard]] std::map<std::uint16_t, ssh::Service> by_port() const {
    std::map<std::uint16_t, ssh::Service> out;
    for (std::size_t i = 0; i < listeners_.size(); ++i)
      out[kPorts[i]] = {.port = ntohs(address_of(listeners_[i]).sin_port)};
    return out;
  }

 private:
  struct Guest {
    Fd fd;
    bool stalls;
  };

  [[noreturn]] void serve() {
    std::vector<Guest> guests;
    std::array<char, 4096> buffer{};
    for (;;) {
      std::vector<pollfd> waiting;
      for (const auto& listener : listeners_) waiting.push_back({listener.get(), POLLIN, 0});
      for (const auto& guest : guests)
        waiting.push_back({guest.fd.get(), static_cast<short>(guest.stalls ? POLLRDHUP : POLLIN), 0});
      ::poll(waiting.data(), waiting.size(), -1);
      for (std::size_t i = guests.size(); i-- > 0;) {
        if (waiting[i + 4].revents == 0) continue;
        const auto got = ::recv(guests[i].fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got > 0 && !guests[i].stalls) {
          ::send(guests[i].fd.get(), buffer.data(), static_cast<std::size_t>(got),
                 MSG_NOSIGNAL | MSG_DONTWAIT);
        } else {
          guests.erase(guests.begin() + static_cast<std::ptrdiff_t>(i));
        }
      }
      for (std::size_t i = 0; i < 4; ++i) {
        if (waiting[i].revents == 0) continue;
        Fd guest(::accept4(listeners_[i].get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (i == 2) {
          ::send(guest.get(), buffer.data(), buffer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
          const linger at_once{.l_onoff = 1, .l_linger = 0};
          ::setsockopt(guest.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        }
        if (i == 0 || i == 3) guests.push_back({std::move(guest), i == 3});
      }
    }
  }

  std::array<Fd, 4> listeners_;
};

// The sidecar's side of one session, as a libssh server.
class Sidecar {
 public:
  Sidecar(Fd socket, const ssh::Key& host_key) : session_(ssh_new()) {
    const auto bind = ssh_bind_new();
    // The bind object takes ownership of the key, so pass a copy.
    ssh_key copy = nullptr;
    require(ssh_pki_import_privkey_base64(host_key.private_text().c_str(), nullptr, nullptr, nullptr,
                                          &copy) == SSH_OK);
    require(ssh_bind_options_set(bind, SSH_BIND_OPTIONS_IMPORT_KEY, copy) == SSH_OK);
    const bool no = false;
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no);
    require(ssh_bind_accept_fd(bind, session_, socket.release()) == SSH_OK);
    ssh_bind_free(bind);
    ssh_callbacks_init(&server_);
    server_.userdata = this;
    server_.auth_pubkey_function = [](ssh_session, const char*, ssh_key_struct*, char, void*) {
      return static_cast<int>(SSH_AUTH_SUCCESS);
    };
    server_.channel_open_request_session_function = [](ssh_session session, void* self) {
      auto& sidecar = *static_cast<Sidecar*>(self);
      sidecar.command_ = ssh_channel_new(session);
      ssh_set_channel_callbacks(sidecar.command_, &sidecar.channel_);
      return sidecar.command_;
    };
    ssh_set_server_callbacks(session_, &server_);
    ssh_callbacks_init(&channel_);
    channel_.userdata = this;
    channel_.channel_exec_request_function = [](ssh_session, ssh_channel, const char*, void* self) {
      static_cast<Sidecar*>(self)->ready_ = true;
      return 0;
    };
    ssh_set_auth_methods(session_, SSH_AUTH_METHOD_PUBLICKEY);
    event_ = ssh_event_new();
  }
  Sidecar(const Sidecar&) = delete;
  Sidecar& operator=(const Sidecar&) = delete;
  ~Sidecar() {
    ssh_event_remove_session(event_, session_);
    ssh_event_free(event_);
    ssh_free(session_);
  }

  void act(Input input) {
    if (ssh_handle_key_exchange(session_) != SSH_OK) return;
    ssh_event_add_session(event_, session_);
    while (!ready_)
      if (ssh_event_dopoll(event_, 1000) != SSH_OK) return;
    ssh_set_blocking(session_, 0);
    for (int i = 0; !input.empty() && i < 300 && ssh_is_connected(session_) != 0; ++i) step(input);
    for (int i = 0; i < 3; ++i) ssh_event_dopoll(event_, 2);
  }

  // Like sshd: close a channel that the peer has closed.
  void turn() {
    ssh_event_dopoll(event_, 2);
    for (const auto channel : channels_)
      if (ssh_channel_is_closed(channel) != 0) ssh_channel_close(channel);
  }
  void hang_up() { ssh_disconnect(session_); }

  int admissible = 0;  // connections that the pump may accept

 private:
  void step(Input& input) {
    const auto op = input.next();
    if (op % 8 == 0 || channels_.empty()) {
      const unsigned kind = input.next() % 5;
      const char* const origin = kOrigins[input.next() % std::size(kOrigins)];
      const auto channel = ssh_channel_new(session_);
      ssh_channel_open_reverse_forward(channel, "0.0.0.0", kind < 4 ? kPorts[kind] : 7999, origin, 1234);
      admissible += kind < 4 && std::string_view(origin) == "10.0.0.1" ? 1 : 0;
      for (int i = 0; i < 3; ++i) ssh_event_dopoll(event_, 1);
      channels_.push_back(channel);
      return;
    }
    const auto channel = channels_[input.next() % channels_.size()];
    static std::array<std::uint8_t, 60'000> bytes{};
    switch (op % 8) {
      case 1:
      case 2:
        if (ssh_channel_is_open(channel) != 0 && ssh_channel_window_size(channel) > 0)
          ssh_channel_write(channel, bytes.data(),
                            std::min<std::uint32_t>(input.next() * 230U, ssh_channel_window_size(channel)));
        break;
      case 3:
        if (ssh_channel_is_open(channel) != 0) ssh_channel_send_eof(channel);
        break;
      case 4:
        if (ssh_channel_is_open(channel) != 0) ssh_channel_close(channel);
        break;
      case 5:
        if (ssh_channel_is_open(channel) != 0)
          ssh_channel_read_nonblocking(channel, bytes.data(), static_cast<std::uint32_t>(bytes.size()), 0);
        break;
      default:
        ssh_event_dopoll(event_, 1);
    }
  }

  ssh_session session_;
  ssh_event event_ = nullptr;
  ssh_server_callbacks_struct server_{};
  ssh_channel_callbacks_struct channel_{};
  ssh_channel command_ = nullptr;
  std::vector<ssh_channel> channels_;  // the session frees them
  bool ready_ = false;
};

// Sockets, epolls and eventfds; the fuzzer itself has pipes to its symbolizer.
int descriptors() {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const auto what = std::filesystem::read_symlink(entry, gone).string();
    count += what.starts_with("socket:") || what.starts_with("anon_inode:") ? 1 : 0;
  }
  return count;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Services services;
  static const auto client_key = ssh::Key::generate(), host_key = ssh::Key::generate();
  static const ssh::Policy policy(services.by_port(), std::vector<Ip>{Ipv4::parse("10.0.0.1").value()});
  auto [ours, theirs] = connected_pair();
  Input input(data, size);
  const bool stop_first = input.next() % 2 == 0;
  ssh::Counters counters;
  std::optional<Sidecar> sidecar(std::in_place, std::move(theirs), host_key);
  std::thread acting([&] { sidecar->act(input); });
  std::thread ending;
  std::atomic<bool> done = false;
  try {
    ssh::Session session(std::move(ours), {.client = client_key, .host_key = host_key.public_line()},
                         Deadline::after(std::chrono::seconds{9}));
    ssh::Pump pump(session, policy, counters);
    ending = std::thread([&] {
      acting.join();
      if (!stop_first) return sidecar->hang_up();
      pump.stop();
      while (!done) sidecar->turn();
    });
    try {
      pump.run(std::chrono::milliseconds{5});
    } catch (const Error& error) {
      require(error.code() == Errc::failure);
    }
    done = true;
    ending.join();
  } catch (const Error& error) {  // the sidecar ended before the tunnel was ready
    require(error.code() == Errc::failure);
  }
  if (acting.joinable()) acting.join();
  const auto admissible = static_cast<std::uint64_t>(sidecar->admissible);
  sidecar.reset();
  require(counters.open == 0);
  require(counters.accepted + counters.unserved <= admissible);
  // The services' thread closes its descriptors later.
  static int usual = -1;
  if (usual < 0) usual = descriptors();
  for (int i = 0; i < 2000 && descriptors() > usual; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  require(descriptors() <= usual);
  return 0;
}
