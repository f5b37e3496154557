"""Several datagrams in one system call, as the C library's resolver sends its queries."""

SENDMMSG = """
import ctypes, socket
class iovec(ctypes.Structure): _fields_ = [("base", ctypes.c_char_p), ("size", ctypes.c_size_t)]
class msghdr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("length", ctypes.c_uint),
                ("iov", ctypes.POINTER(iovec)), ("count", ctypes.c_size_t),
                ("control", ctypes.c_void_p), ("size", ctypes.c_size_t), ("flags", ctypes.c_int)]
class mmsghdr(ctypes.Structure): _fields_ = [("header", msghdr), ("length", ctypes.c_uint)]
server, client = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
server.bind(("127.0.0.1", 0))
client.connect(server.getsockname())
def send_all(one, datagrams):
    all = (mmsghdr * len(datagrams))()
    for message, data in zip(all, datagrams):
        message.header.iov = ctypes.pointer(iovec(data, len(data)))
        message.header.count = 1
    return ctypes.CDLL(None).sendmmsg(one.fileno(), all, len(datagrams), 0)
"""
"""A program's begin: two sockets that are connected, and a function."""
