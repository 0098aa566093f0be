"""A host between the tool and a real one: what the driver answers is changed on its way, as by a driver that lies."""
import os
import socket
import struct
import threading

hello, answer, read, control = 1, 2, 18, 19
clients = 0x800c6420
unsuccessful = -0x3fffffff  # STATUS_UNSUCCESSFUL


class ForgingHost:
    """Serves at `path` what the host at `real` gives; change(kind, code, status, bytes) makes the (status, bytes) of each answer.

    kind: of the request. code: of a control, otherwise 0.
    """

    def __init__(self, path, real, change):
        self.path, self.real, self.change = path, real, change
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listening.bind(path)
        self.listening.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listening.accept()
            host = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            host.connect(self.real)
            asked = {}
            threading.Thread(target=self.pass_on, args=(client, host, lambda *frame: self.note(asked, *frame)), daemon=True).start()
            threading.Thread(target=self.pass_on, args=(host, client, lambda *frame: self.forge(asked, *frame)), daemon=True).start()

    @staticmethod
    def note(asked, kind, id, body):
        asked[id] = kind, struct.unpack_from('<I', body)[0] if kind == control else 0
        return body

    def forge(self, asked, kind, id, body):
        if kind != answer or id not in asked:
            return body
        status, bytes = self.change(*asked.pop(id), struct.unpack_from('<i', body)[0], body[8:])
        return struct.pack('<iI', status, 0) + bytes

    @staticmethod
    def take(source, count, descriptors):
        data = b''
        while len(data) < count:
            more, passed, _, _ = socket.recv_fds(source, count - len(data), 1)
            if not more:
                raise EOFError
            data += more
            descriptors += passed
        return data

    def pass_on(self, source, to, change):
        """Frame by frame, with the descriptors beside them, until one side has gone; then the other one is told."""
        try:
            while True:
                descriptors = []
                length, kind, flags, id = struct.unpack('<IHHQ', self.take(source, 16, descriptors))
                body = change(kind, id, self.take(source, length, descriptors))
                frame = struct.pack('<IHHQ', len(body), kind, flags, id) + body
                sent = socket.send_fds(to, [frame], descriptors)
                to.sendall(frame[sent:])
                for descriptor in descriptors:
                    os.close(descriptor)
        except (EOFError, OSError):
            try:
                to.shutdown(socket.SHUT_WR)
            except OSError:
                pass
