//! A server that takes its time, with a clock that does not.

use tokio::io::{AsyncBufReadExt as _, BufReader, duplex};
use tokio::time::sleep;

use super::*;

/// How much of a mail comes at a time.
const PART: usize = 64 * 1_024;

#[tokio::test(start_paused = true)]
async fn a_large_mail_may_take_minutes_as_long_as_some_of_it_comes() {
    let fetched = fetched(30, Duration::from_secs(10)).await;
    assert_eq!(fetched.unwrap().unwrap().len(), 30 * PART);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_or_is_never_done_is_given_up() {
    for (parts, pause, given_up_after) in
        [(2, Duration::from_secs(31), SILENCE_MAX), (130, Duration::from_secs(5), COMMAND_MAX)]
    {
        let began = Instant::now();
        let error = fetched(parts, pause).await.unwrap_err();
        assert!(matches!(error, ImapError::Broken(_)), "{error}");
        assert_eq!(began.elapsed().as_secs(), given_up_after.as_secs());
    }
}

/// Fetches a mail that comes in so many parts, each after a pause.
async fn fetched(parts: usize, pause: Duration) -> Result<Option<Zeroizing<Vec<u8>>>, ImapError> {
    let (client, server) = duplex(2 * PART);
    let mut connection = Connection::over(Box::new(client));
    let serve = async move {
        let mut server = BufReader::new(server);
        let mut command = String::new();
        server.read_line(&mut command).await.unwrap();
        let head = format!("* 1 FETCH (UID 7 BODY[] {{{}}}\r\n", parts * PART);
        server.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..parts {
            sleep(pause).await;
            // A client that has given up hangs up.
            server.write_all(&vec![b'x'; PART]).await.ok();
        }
        server.write_all(b")\r\nA1 OK done\r\n").await.ok();
    };
    let serving = tokio::spawn(serve);
    let fetched = connection.body(7).await;
    serving.abort();
    fetched
}
