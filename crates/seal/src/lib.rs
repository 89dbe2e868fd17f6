//! Locks a code to one agent's key with HPKE, and opens it.
