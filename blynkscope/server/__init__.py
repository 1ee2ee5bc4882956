"""The reference server, without sockets: bytes of clients in, bytes for clients out.

Its answers come from the command table that the decoder reads by. It speaks the hardware, the app and the web dialect,
HTTP and WebSocket; what is stored is in `store`. Sockets, TLS, limits and faults are those of the proxy, behind which
it stands in the place of an upstream.
"""
