// The first workflow of the networking guide: a web service in a container, reached from the host.
//
//   guide_container        prints what the service answers
#include <arpa/inet.h>
#include <hostnet/hostnet.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

namespace {

std::string get(std::uint16_t port) {
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(port);
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int connection = ::socket(AF_INET, SOCK_STREAM, 0);
  if (::connect(connection, reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0)
    return "no connection";
  constexpr const char* request = "GET / HTTP/1.0\r\n\r\n";
  if (::write(connection, request, std::strlen(request)) < 0) return "no request";
  std::string answer;
  char buffer[4096];
  for (ssize_t got; (got = ::read(connection, buffer, sizeof buffer)) > 0;)
    answer.append(buffer, static_cast<std::size_t>(got));
  ::close(connection);
  return answer.substr(answer.find("\r\n\r\n") + 4);
}

}  // namespace

int main() {
  using namespace hostnet;
  const auto container = GenericImage("alpine", "3.19")
                             .with_exposed_port(tcp(8080))
                             .with_copy_to("/var/www/index.html", "hello from the container\n")
                             .with_cmd({"httpd", "-f", "-p", "8080", "-h", "/var/www"})
                             .with_wait_for(WaitFor::http("/", tcp(8080)))
                             .start();
  std::fputs(get(container.get_host_port_ipv4(tcp(8080))).c_str(), stdout);
  return 0;
}
