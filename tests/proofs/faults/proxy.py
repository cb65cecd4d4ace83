"""A TCP proxy in front of the server's Unix socket, which cuts a connection within an answer."""

import random
import socket
import threading
from contextlib import suppress
from pathlib import Path


class Proxy:
    """Listens on a port of its own, and passes on what comes.

    :param server: the server's socket.
    """

    def __init__(self, server: Path) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._answers_until_cut = 0
        self._part = 0.0
        self._cut = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def cut(self, rng: random.Random) -> threading.Event:
        """Cut whichever connection gets one of the next answers, somewhere within it.

        :return: is set when it has happened.
        """
        with self._lock:
            self._cut = threading.Event()
            self._part = rng.random()
            self._answers_until_cut = rng.randrange(1, 40)
            return self._cut

    def close(self) -> None:
        """Take no more connections. Those that there are end with either side."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _listen(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(str(self._server))
                except OSError:  # the server is down: so this connection ends
                    client.close()
                    server.close()
                    continue
                for pass_on in (self._pass_on_requests, self._pass_on_answers):
                    threading.Thread(target=pass_on, args=(client, server), daemon=True).start()

    def _pass_on_requests(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while request := client.recv(65536):
                server.sendall(request)
        with suppress(OSError):  # wakes up the other thread, which closes both
            server.shutdown(socket.SHUT_RDWR)

    def _pass_on_answers(self, client: socket.socket, server: socket.socket) -> None:
        with client, server:
            with suppress(OSError):
                while answer := server.recv(65536):
                    if self._is_to_be_cut():
                        client.sendall(answer[: int(len(answer) * self._part)])
                        self._cut.set()
                        break
                    client.sendall(answer)
            # Not by closing alone, which does nothing while the other thread reads from it.
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def _is_to_be_cut(self) -> bool:
        with self._lock:
            if self._answers_until_cut == 0:
                return False
            self._answers_until_cut -= 1
            return self._answers_until_cut == 0
