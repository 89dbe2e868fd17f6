//! Asks for a code, waits for it, opens it: the agent's side as a library.
//!
//! ```no_run
//! # use agent_otp_agent::{Agent, Asking};
//! # use agent_otp_jetstream::Login;
//! # async fn example(login: Login, home: agent_otp_keyring::Home) -> Result<(), Box<dyn std::error::Error>> {
//! let agent = Agent::connect(&login, home, "shopper".parse()?).await?;
//! let pending = agent.request(Asking::code_by_email("Sign in to GitHub", "github.com")?).await?;
//! let code = pending.wait().await?;
//! println!("{}", code.expose());
//! # Ok(())
//! # }
//! ```

mod agent;
mod newer;
mod pending;

pub use agent::{Agent, AgentError, Asking, AskingError};
pub use newer::Newer;
pub use pending::{Canceller, Pending, Progress, WaitError};
