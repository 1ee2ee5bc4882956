"""The certificate authority of this user, for connections that are looked into."""
