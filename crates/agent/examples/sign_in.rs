//! An agent that asks for a code, hands it on, and lives on without it.
//!
//! `sign_in URL SEED_FILE HOME NAME SENDER` writes the code to stdout, and then waits for Ctrl-C.

use std::error::Error;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::AsFd as _;

use agent_otp_agent::{Agent, Asking};
use agent_otp_jetstream::Login;
use agent_otp_jetstream::process::hide_memory;
use agent_otp_keyring::Home;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    hide_memory()?;
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, seed_file, home, name, sender] = arguments.as_slice() else {
        return Err("sign_in URL SEED_FILE HOME NAME SENDER".into());
    };
    let login = Login::plain(url, fs::read_to_string(seed_file)?.trim().to_owned());
    let agent = Agent::connect(&login, Home::at(home), name.parse()?).await?;
    let pending = agent.request(Asking::code_by_email("Sign in", sender)?).await?;
    eprintln!("requested  {}", pending.key().request);
    let code = pending.wait().await?;
    // `std::io::stdout` would keep what it has written in its buffer.
    let mut stdout = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    stdout.write_all(code.expose().as_bytes())?;
    stdout.write_all(b"\n")?;
    drop(code);
    eprintln!("signed in");
    tokio::signal::ctrl_c().await?;
    Ok(())
}
