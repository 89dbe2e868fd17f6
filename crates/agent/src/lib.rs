//! Asks for a code, waits for it, opens it: the agent's side as a library.
