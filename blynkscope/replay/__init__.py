"""A recorded conversation played again: the side of the device to a server, or that of the server to a device."""
