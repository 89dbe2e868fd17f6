//! Finds or installs nats-server, writes its configuration, runs it as a child.
