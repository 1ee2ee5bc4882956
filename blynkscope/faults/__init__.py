"""Rules and scenarios that break a conversation on purpose: what proxy and server share."""
