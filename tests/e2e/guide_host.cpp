// The second workflow of the networking guide: a temporary service of the test itself, reached from a
// container.
//
//   guide_host [native|ssh]     prints the path in use and what the container received
#include <arpa/inet.h>
#include <hostnet/hostnet.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <thread>

namespace {

// Answers one request on a port of 127.0.0.1 that the kernel chooses.
class Service {
 public:
  Service() {
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(listener_, reinterpret_cast<const sockaddr*>(&where), sizeof where);
    ::listen(listener_, 1);
    socklen_t size = sizeof where;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&where), &size);
    port_ = ntohs(where.sin_port);
    thread_ = std::thread([this] {
      const int connection = ::accept(listener_, nullptr, nullptr);
      char request[4096];
      constexpr const char* answer = "HTTP/1.0 200 OK\r\nContent-Length: 21\r\n\r\nhello from 127.0.0.1\n";
      if (::read(connection, request, sizeof request) <= 0 ||
          ::write(connection, answer, std::strlen(answer)) < 0)
        std::perror("service");
      ::close(connection);
    });
  }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;
  ~Service() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  int listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
  std::uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace

int main(int argc, char** argv) {
  using namespace hostnet;
  const std::string wanted = argc > 1 ? argv[1] : "";
  const Path path = wanted == "native" ? Path::native : wanted == "ssh" ? Path::ssh : Path::automatic;
  const Service service;
  const auto url = "http://" + std::string(kAlias) + ":" + std::to_string(service.port()) + "/";
  const auto container = GenericImage("alpine", "3.19")
                             .with_exposed_host_port(service.port())
                             .with_exposer(path)
                             .with_cmd({"wget", "-qO-", url})
                             .with_wait_for(WaitFor::exit(0))
                             .start();
  std::printf("%s: %s", to_string(container.exposed_via()), container.logs().out.c_str());
  return 0;
}
