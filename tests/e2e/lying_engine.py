"""An "engine" with fixed answers, for any user: lying_engine.py SOCKET ANSWERS. ANSWERS is a JSON object from a substring
of a request's first line to the body of the answer; the first match counts. A request without a match gets 404."""
import json
import os
import socket
import sys
import threading


def serve(connection, answers):
    with connection, connection.makefile("rb") as lines:
        while line := lines.readline().decode():
            length = 0
            while (header := lines.readline().decode().strip().lower()):
                if header.startswith("content-length:"):
                    length = int(header.partition(":")[2])
            lines.read(length)
            body = next((body for part, body in answers.items() if part in line), None)
            status = "200 OK" if body is not None else "404 Not Found"
            text = json.dumps(body if body is not None else {"message": "no such thing"}).encode()
            connection.sendall(f"HTTP/1.1 {status}\r\nApi-Version: 1.41\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text)


def main():
    path, answers = sys.argv[1], json.loads(sys.argv[2])
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        os.chmod(path, 0o666)
        listener.listen(16)
        print("up", flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection, answers), daemon=True).start()


if __name__ == "__main__":
    main()
