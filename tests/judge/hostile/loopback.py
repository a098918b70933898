# ends: exit
import socket

for port in (22, 80, 8000):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.2)
        print("ESCAPED: port", port)
    except OSError:
        pass
